#include "cli/answer_tokens.h"

#include <algorithm>
#include <array>
#include <limits>

namespace l2a {
namespace {

bool is_plain(const std::string& bytes) {
  return !bytes.empty() && std::none_of(bytes.begin(), bytes.end(), [](char c) {
    return c == '"' || c == '\\' || static_cast<unsigned char>(c) < 0x20;
  });
}

}  // namespace

AnswerTokens::AnswerTokens(const BpeTokenizer& tokenizer, int32_t end_of_turn) : end_(end_of_turn) {
  for (int32_t id = 0; id < tokenizer.size(); ++id) {
    bytes_.push_back(tokenizer.is_special(id) ? "" : tokenizer.decode({&id, 1}));
    is_plain_.push_back(is_plain(bytes_.back()));
  }
}

bool AnswerTokens::mask(const AnswerShape& shape, const AnswerShape::Place& place,
                        std::span<float> logits) const {
  constexpr float kNever = -std::numeric_limits<float>::infinity();
  std::array<bool, 256> may_begin{};
  for (size_t byte = 0; byte < may_begin.size(); ++byte) {
    const char c = static_cast<char>(byte);
    may_begin[byte] = !shape.after(place, {&c, 1}).empty();
  }
  const bool in_text = shape.is_in_text(place);
  const auto may_come = [&](size_t id) {
    const std::string& bytes = bytes_[id];
    if (bytes.empty() || !may_begin[static_cast<unsigned char>(bytes[0])]) return false;
    return (in_text && is_plain_[id]) || !shape.after(place, bytes).empty();
  };
  bool any = false;
  for (size_t id = 0; id < logits.size(); ++id) {
    const bool may = id == static_cast<size_t>(end_) ? shape.is_whole(place)
                                                     : id < bytes_.size() && may_come(id);
    if (!may) logits[id] = kNever;
    any |= may;
  }
  return any;
}

}  // namespace l2a
