// Conversations: messages, turns, sessions, and their JSONL form.
//
// The JSONL form is that of RealMedConv: {"session_id", "messages": [{"role", "content", ...}],
// "tail"?: [...], "stop_seen"?: bool, ...}. Unknown keys are kept and written back.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/json.h"

namespace l2a {

// `assistant` is the expert, who asks; `user` is who is asked.
enum class Role { kUser, kAssistant };
const char* role_name(Role role);  // "user", "assistant"

struct Message {
  Role role = Role::kUser;
  std::string text;             // valid UTF-8, not blank
  Json extra = Json::object();  // the message's other keys, e.g. "labels", "truth"
};

// A run of messages by one role, joined by newline: chat people send several in a row.
struct Turn {
  Role role = Role::kUser;
  std::string text;
  size_t first_message = 0;  // index into Session::messages
  size_t message_count = 0;

  friend bool operator==(const Turn&, const Turn&) = default;
};

struct Session {
  std::string id;
  std::string system;             // system messages, joined by newline; often empty
  std::vector<Message> messages;  // user and assistant only, none blank
  std::vector<Message> tail;      // after the gathering ended, as the source says
  // False: the source says that the end of the gathering is not in the log.
  std::optional<bool> stop_seen;
  Json extra = Json::object();  // the session's other keys
};

// Turns of the messages, in order; roles alternate.
std::vector<Turn> turns_of(const Session& session);

// One session from a line in the JSONL form above. `id` is the session_id, number or string,
// as text. kInvalidInput says the key: "'messages': missing"; a role other than user or
// assistant is refused (importing maps roles first). Blank messages are refused as well.
Result<Session> session_from_json(const Json& line);
Json to_json(const Session& session);

}  // namespace l2a
