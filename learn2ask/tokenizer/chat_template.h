// Chat templates: a dialogue to token ids. ChatML only so far.
//
// In the dialogue the expert is the model's `assistant`. The ids of C_t are a prefix of those of
// C_{t+1}: the session tree rests on that.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "dialogue/session.h"
#include "tokenizer/bpe.h"

namespace l2a {

class ChatTemplate {
 public:
  // Recognises the template from its Jinja text: ChatML, plain or with a system message of its own
  // for dialogues that have none (SmolLM2's has). kUnsupported, listing the known names, if it is
  // none of them. `tokenizer` must outlive the result. Throws Failure if that lacks the
  // template's special tokens.
  static Result<ChatTemplate> recognise(std::string_view jinja, const BpeTokenizer& tokenizer);

  std::string name() const { return "chatml"; }
  // Ids of system message and turns, ending in the header of the assistant's turn: what a reply
  // is sampled after. An empty `system` means the template's own, if it has one. Text is never
  // read as special tokens. An assistant's text is cut into tokens apart from its header, as
  // when it was sampled: only a text that opens with two or more white spaces can differ by that
  // from the tokens of render(). Throws Failure for broken UTF-8.
  std::vector<int32_t> context_ids(std::string_view system, std::span<const Turn> turns) const;
  // Ids of the assistant's reply and the end-of-turn token.
  std::vector<int32_t> reply_ids(std::string_view text) const;
  // The same as text, for people and for comparison with Hugging Face.
  std::string render(std::string_view system, std::span<const Turn> turns, bool open_reply) const;

  int32_t end_of_turn() const { return end_; }
  const BpeTokenizer& tokenizer() const { return *tokenizer_; }

 private:
  ChatTemplate(const BpeTokenizer& tokenizer, std::string default_system);
  const BpeTokenizer* tokenizer_;
  std::string default_system_;  // empty: the template has none
  int32_t start_ = 0, end_ = 0;
};

}  // namespace l2a
