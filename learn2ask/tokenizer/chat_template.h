// Chat templates: a dialogue to token ids.
//
// In the dialogue the expert is the model's `assistant`.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "dialogue/session.h"
#include "tokenizer/bpe.h"
#include "tokenizer/chat_format.h"

namespace l2a {

// The model's tokens of these names, empty where it has none: "<s>", "</s>".
struct BosEos {
  std::string bos, eos;
};

class ChatTemplate {
 public:
  // Finds out which format the Jinja text is: the one that writes the same for dialogues that tell
  // the formats apart. kUnsupported, listing the known names, if it is none of them. `tokenizer`
  // must outlive the result. Throws Failure if that lacks the token that ends a turn.
  static Result<ChatTemplate> recognise(std::string_view jinja, const BosEos& tokens,
                                        const BpeTokenizer& tokenizer);
  // The format of that name. kUnsupported, listing the known names, if there is none.
  static Result<ChatTemplate> named(std::string_view name, const BosEos& tokens,
                                    const BpeTokenizer& tokenizer);

  const std::string& name() const { return format_.name; }
  // Ids of system message and turns, ending in the header of the assistant's turn: what a reply
  // is sampled after. An empty `system` means the template's own, if it has one. Text is never
  // read as special tokens. An assistant's text is cut into tokens apart from its header, as
  // when it was sampled: only a text that opens with two or more white spaces can differ by that
  // from the tokens of render(). Throws Failure for broken UTF-8.
  // Throws Failure, saying what to do, for a dialogue that the format refuses (refusal()).
  std::vector<int32_t> context_ids(std::string_view system, std::span<const Turn> turns) const;
  // Ids of the assistant's reply and the end-of-turn token.
  std::vector<int32_t> reply_ids(std::string_view text) const;
  // The same as text, for people and for comparison with Hugging Face.
  std::string render(std::string_view system, std::span<const Turn> turns, bool open_reply) const;

  // What a turn adds to a context, in tokens; exact where it does not depend on its neighbours.
  int64_t turn_tokens(const Turn& turn) const;

  // Why the format does not take such a dialogue, and what to do.
  std::optional<std::string> refusal(std::string_view system, std::span<const Turn> turns) const;
  // The session tree is cheapest where the ids of C_t and the reply to it begin those of C_{t+1}.
  // Where this format's do not: how they begin to differ. nullopt: they do.
  std::optional<std::string> prefix_gap() const;

  int32_t end_of_turn() const { return end_; }
  const BpeTokenizer& tokenizer() const { return *tokenizer_; }

 private:
  ChatTemplate(const BpeTokenizer& tokenizer, ChatFormat format);
  void refuse_if_needed(std::string_view system, std::span<const Turn> turns) const;

  const BpeTokenizer* tokenizer_;
  ChatFormat format_;
  int32_t end_ = 0;
};

}  // namespace l2a
