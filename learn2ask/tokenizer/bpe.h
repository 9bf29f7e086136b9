// Byte-level BPE (GPT-2 family): text to token ids and back.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace l2a {

// What a tokenizer is made of, from whichever file it came.
struct BpeVocabulary {
  std::vector<std::string> tokens;  // in the byte-to-unicode alphabet, index = id
  std::vector<std::string> merges;  // "left right", best first
  std::vector<bool> is_special;     // control tokens: never produced from text
  std::string pre_tokenizer;        // GGUF name: "smollm", "gpt-2"
};

// Thread-safe once made.
class BpeTokenizer {
 public:
  // Throws Failure: no merges, a merge of tokens that are not in the vocabulary, a token given
  // twice or outside the byte alphabet, an unknown pre-tokenizer; each says which.
  explicit BpeTokenizer(BpeVocabulary vocabulary);
  ~BpeTokenizer();
  BpeTokenizer(BpeTokenizer&&) noexcept;

  // Ids of plain text, in time n log n. Look-alikes of special tokens are text like any other and
  // never become special tokens. A byte that the vocabulary lacks is left out, as Hugging Face
  // does (SmolLM2: six control characters, and what starts characters of planes 4 to 11).
  // kInvalidInput for text that is not UTF-8.
  Result<std::vector<int32_t>> encode(std::string_view text) const;
  // The bytes of the ids; special tokens give their name. May not be UTF-8 if cut in a character.
  std::string decode(std::span<const int32_t> ids) const;

  int32_t size() const;
  // The id of a special token by name. Throws Failure (kNotFound) naming it.
  int32_t special_id(std::string_view name) const;
  bool is_special(int32_t id) const;

 private:
  struct Impl;
  std::unique_ptr<const Impl> impl_;
};

}  // namespace l2a
