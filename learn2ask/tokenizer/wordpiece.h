// WordPiece (BERT uncased): clean, lower-case, strip accents, split at punctuation and CJK,
// greedy longest match. Ids are those of Hugging Face's BertTokenizer.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/error.h"

namespace l2a {

// Thread-safe once made.
class WordPieceTokenizer {
 public:
  // `vocabulary`: one token a line, line number = id (vocab.txt). Throws Failure when [UNK],
  // [CLS] or [SEP] is missing.
  explicit WordPieceTokenizer(std::string_view vocabulary);

  // [CLS] ids [SEP], cut to `max_tokens` (at least 2) in all. Look-alikes of special tokens are
  // text like any other. kInvalidInput for text that is not UTF-8.
  Result<std::vector<int32_t>> encode(std::string_view text, size_t max_tokens) const;

 private:
  void encode_word(const std::u32string& word, std::vector<int32_t>& out) const;

  std::unordered_map<std::string, int32_t> ids_;
  int32_t unknown_ = 0, begin_ = 0, end_ = 0;
};

}  // namespace l2a
