// Which tokens of a vocabulary may come next in an answer that keeps to a schema.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "llm/answer_shape.h"
#include "tokenizer/bpe.h"

namespace l2a {

// Immutable once made; thread-safe.
class AnswerTokens {
 public:
  // `end_of_turn`: what ends a whole answer.
  AnswerTokens(const BpeTokenizer& tokenizer, int32_t end_of_turn);

  // Leaves the logits of those that may come and puts the others to -inf. False where none may.
  // `logits`: one an id of the vocabulary, or more, whose rest is no token.
  bool mask(const AnswerShape& shape, const AnswerShape::Place& place,
            std::span<float> logits) const;
  // Of a token, as they stand inside of a text; empty for a special one.
  const std::string& bytes(int32_t id) const { return bytes_[static_cast<size_t>(id)]; }

 private:
  int32_t end_;
  std::vector<std::string> bytes_;
  std::vector<bool> is_plain_;  // may stand in any JSON string
};

}  // namespace l2a
