// What the policy sees of a dialogue: the system prompt and as many turns as the model holds.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "dialogue/session.h"
#include "tokenizer/chat_template.h"

namespace l2a {

struct WindowOptions {
  std::string system_prompt;
  int64_t max_positions = 0;      // of the model, reply included
  bool cut_oldest_turns = false;  // else a dialogue that is too long is an error
  std::string user_opens = {};    // said before a dialogue that the expert opens; empty: nothing
};

// Immutable. `chat` must outlive it.
class ContextWindow {
 public:
  struct View {
    std::vector<int32_t> ids;  // ending in the header of the reply
    size_t turns_cut = 0;      // oldest turns that are not in it
  };

  ContextWindow(const ChatTemplate& chat, WindowOptions options)
      : chat_(&chat), options_(std::move(options)) {}

  // The dialogue with room for `reply_tokens` more. Where turns are cut, an eighth of the room is
  // freed at a time: contexts of successive turns begin alike, and share what they begin with.
  // kInvalidInput: too long, and turns are not cut; the last turn alone is too long; or the chat
  // template does not take such a dialogue.
  Result<View> view(std::span<const Turn> turns, int64_t reply_tokens) const;

  const ChatTemplate& chat() const { return *chat_; }

 private:
  std::vector<Turn> opened(std::span<const Turn> turns) const;

  const ChatTemplate* chat_;
  WindowOptions options_;
};

}  // namespace l2a
