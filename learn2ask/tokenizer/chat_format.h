// The chat formats that we know: what stands around the messages of a dialogue.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "dialogue/session.h"

namespace l2a {

// The text before and after a message's own.
struct Frame {
  std::string before, after;
};

// One chat format. "{bos}" and "{eos}" in a text stand for the model's own tokens of that name.
struct ChatFormat {
  enum class System {
    kRefused,
    kMessage,        // framed by `system`
    kAlwaysMessage,  // likewise, and an empty one where the dialogue has none
    kFirstUser,      // before the text of the first turn, a user's; `system` in between
    kLastUser,       // the same of the last turn, and left out where that is not a user's
  };

  std::string name;
  std::string opening;  // before everything
  System system_place = System::kMessage;
  Frame system, user;
  std::string assistant;    // before an assistant's message in the context
  std::string reply;        // before the one that is to come
  std::string lead;         // what each of the assistant's texts begins with
  std::string end_of_turn;  // one special token; the reply ends with it
  std::string after_reply;  // between that and the next message
  bool trims_system = false, trims_user = false, trims_assistant = false;  // of white space
  bool alternates_from_user = false;  // a dialogue must: the template raises otherwise
  // An assistant's text counts from after its last "</think>" on.
  bool drops_thoughts = false;
  std::string default_system;  // of dialogues that have none; empty: none
};

// In the order in which a template is held against them.
const std::vector<ChatFormat>& known_chat_formats();

// What a rendering is made of, in order.
enum class ChatPart {
  kMarkup,     // the format's own: may hold special tokens
  kText,       // a message's: never does
  kReplyText,  // an assistant's, the lead with it: cut into tokens apart from what is before it
};
using ChatSink = std::function<void(ChatPart, std::string_view)>;

// Renders system message and turns; then, with `open_reply`, the header of the assistant's reply.
// An empty `system` means none, or the format's own. The dialogue is not one that it refuses.
void render_chat(const ChatFormat& format, std::string_view system, std::span<const Turn> turns,
                 bool open_reply, const ChatSink& sink);

// One turn of it. A `system` message that is not empty joins the user's text.
void render_turn(const ChatFormat& format, const Turn& turn, std::string_view system,
                 const ChatSink& sink);

// Why the format refuses such a dialogue and what to do; nullptr where it takes it.
const char* refusal(const ChatFormat& format, std::string_view system, std::span<const Turn> turns);

// An assistant's text as the format has it in a context, with its lead.
std::string assistant_text(const ChatFormat& format, std::string_view text);

}  // namespace l2a
