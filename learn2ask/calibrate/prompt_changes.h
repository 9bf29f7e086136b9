// What a rewritten prompt says otherwise than the one that it was made from, sentence by sentence.
#pragma once

#include <string>
#include <vector>

namespace l2a {

// `prompt` with one of its changes to `original` taken back, for each of them in order. A sentence
// that was put in between is a change; so are, together, those that stand where others did or
// where some were left out. Both texts are valid UTF-8. Taking back one after the other ends at
// `original`. Empty where nothing was changed, and for texts of more than 1,000 sentences.
std::vector<std::string> take_back_one_change(const std::string& prompt,
                                              const std::string& original);

}  // namespace l2a
