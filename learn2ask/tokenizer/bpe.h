// BPE: text to token ids and back. Byte-level (GPT-2, Llama 3, Qwen2) and SentencePiece's
// (Llama 2, Mistral, Gemma).
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"
#include "tokenizer/pre_tokenizer.h"

namespace l2a {

// How tokens are written.
enum class TokenAlphabet {
  kBytes,       // each byte as a character of GPT-2's byte alphabet
  kCharacters,  // text with U+2581 for a space; a character that is no token as bytes <0xNN>
};

// Where a text begins that is cut into tokens.
enum class TextPlace { kStart, kAfterSpecial, kInside };

// With kCharacters: whether a text gets a space before it. Never inside another.
enum class SpacePrefix {
  kNone,
  kStartUnlessSpace,  // at the start of all, unless it has one (Metaspace "first")
  kEachUnlessSpace,   // and after each special token (Metaspace "always")
  kEach,              // even if it has one (the normaliser Prepend)
};

// What a tokenizer is made of, from whichever file it came.
struct BpeVocabulary {
  // Index = id. Empty where no token has the id: such an id is special, and decodes to nothing.
  std::vector<std::string> tokens;
  std::vector<std::pair<std::string, std::string>> merges;  // best first
  std::vector<bool> is_special;  // control tokens: never produced from text
  TokenAlphabet alphabet = TokenAlphabet::kBytes;
  PreTokenizer pre_tokenizer = PreTokenizer::kGpt2;
  bool compose = false;             // text is brought into Unicode's form NFC first (compose.h)
  bool whole_pieces_first = false;  // a piece that is a token is not put together from merges
  SpacePrefix space_prefix = SpacePrefix::kNone;
  // With kCharacters: what stands for characters that are neither tokens nor have their bytes as
  // tokens, one for a run of them. None: they are left out.
  std::optional<int32_t> unknown;
  // Tokens in plain text (not in the alphabet) that are found in text before anything else, the
  // longest at the first place that has one. None of them special.
  std::vector<int32_t> added;
};

// Thread-safe once made.
class BpeTokenizer {
 public:
  // Throws Failure: no merges, a merge of tokens that are not in the vocabulary, a token given
  // twice or outside the byte alphabet; each says which. A merge that would make a special token
  // out of text is left out.
  explicit BpeTokenizer(BpeVocabulary vocabulary);
  ~BpeTokenizer();
  BpeTokenizer(BpeTokenizer&&) noexcept;

  // Ids of plain text, in time n log n. Look-alikes of special tokens are text like any other and
  // never become special tokens. A byte that the vocabulary lacks is left out, as Hugging Face
  // does (SmolLM2: six control characters, and what starts characters of planes 4 to 11).
  // kInvalidInput for text that is not UTF-8.
  Result<std::vector<int32_t>> encode(std::string_view text,
                                      TextPlace place = TextPlace::kStart) const;
  // The bytes of the ids; special tokens give their name. May not be UTF-8 if cut in a character.
  std::string decode(std::span<const int32_t> ids) const;

  int32_t size() const;
  // The id of a special token by name. Throws Failure (kNotFound) naming it.
  int32_t special_id(std::string_view name) const;
  bool is_special(int32_t id) const;
  struct Found {
    size_t length;  // bytes
    int32_t id;
  };
  // The longest special token that `text` starts with.
  std::optional<Found> special_at(std::string_view text) const;

 private:
  struct Impl;
  std::unique_ptr<const Impl> impl_;
};

}  // namespace l2a
