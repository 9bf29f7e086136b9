// Splits text into the pieces inside which byte-level BPE merges.
#pragma once

#include <functional>
#include <string_view>

namespace l2a {

// Calls `piece` for each piece of `text` (valid UTF-8), in order; together they are the text.
// The pieces are the matches of GPT-2's pattern
//   's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
// found by one scan, in time linear in the text.
// Source: Radford et al. 2019, encoder.py.
void split_gpt2(std::string_view text, const std::function<void(std::string_view)>& piece);

}  // namespace l2a
