// Splits text into the pieces inside which byte-level BPE merges.
#pragma once

#include <functional>
#include <string_view>

namespace l2a {

// The patterns that are known, each found by one scan, in time linear in the text.
enum class PreTokenizer {
  // 's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
  // Source: Radford et al. 2019, encoder.py.
  kGpt2,
  // Each number character alone, what lies between by GPT-2's pattern (SmolLM2's tokenizer.json).
  kDigitsThenGpt2,
  // (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|
  // \s*[\r\n]+|\s+(?!\S)|\s+ (Llama 3's tokenizer.json)
  kLlama3,
  // The same with \p{N} in place of \p{N}{1,3} (Qwen2's and Qwen3's).
  kQwen2,
};

// Calls `piece` for each piece of `text` (valid UTF-8), in order; together they are the text.
void split_pieces(PreTokenizer pattern, std::string_view text,
                  const std::function<void(std::string_view)>& piece);

}  // namespace l2a
