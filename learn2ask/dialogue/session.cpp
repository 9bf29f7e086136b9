#include "dialogue/session.h"

#include "base/utf8.h"

namespace l2a {
namespace {

Error bad(const std::string& why) { return {ErrorCode::kInvalidInput, why}; }

Result<Message> message_from_json(const Json& line) {
  const auto role = get_string(line, "role");
  if (!role) return role.error();
  auto text = get_string(line, "content");
  if (!text) return text.error();
  Message message;
  if (*role == "assistant") {
    message.role = Role::kAssistant;
  } else if (*role != "user") {
    return bad("'role': expected user or assistant, got '" + shown(*role) + "'");
  }
  if (trim(*text).empty()) return bad("'content': blank");
  message.text = std::move(*text);
  message.extra = line;
  message.extra.erase("role");
  message.extra.erase("content");
  return message;
}

Result<std::vector<Message>> messages_from_json(const Json& line, const std::string& key) {
  const auto found = line.find(key);
  if (!found->is_array()) {
    return bad("'" + key + "': expected an array, got " + type_phrase(*found));
  }
  std::vector<Message> messages;
  for (const Json& item : *found) {
    auto message = message_from_json(item);
    if (!message) {
      return bad("'" + key + "'[" + std::to_string(messages.size()) +
                 "]: " + message.error().message);
    }
    messages.push_back(std::move(*message));
  }
  return messages;
}

Result<std::string> id_from_json(const Json& line) {
  const auto found = line.find("session_id");
  if (found == line.end()) return bad("'session_id': missing");
  if (found->is_number_integer()) return dump_json(*found);
  if (!found->is_string()) {
    return bad("'session_id': expected a string or a whole number, got " + type_phrase(*found));
  }
  const auto& text = found->get_ref<const std::string&>();
  if (trim(text).empty()) return bad("'session_id': blank");
  return text;
}

Json messages_to_json(const std::vector<Message>& messages) {
  Json list = Json::array();
  for (const Message& message : messages) {
    Json item = {{"role", role_name(message.role)}, {"content", message.text}};
    for (const auto& [key, value] : message.extra.items()) {
      if (!item.contains(key)) item[key] = value;
    }
    list.push_back(std::move(item));
  }
  return list;
}

}  // namespace

const char* role_name(Role role) { return role == Role::kUser ? "user" : "assistant"; }

std::vector<Turn> turns_of(const Session& session) {
  std::vector<Turn> turns;
  for (size_t i = 0; i < session.messages.size(); ++i) {
    const Message& message = session.messages[i];
    if (!turns.empty() && turns.back().role == message.role) {
      turns.back().text += "\n" + message.text;
      ++turns.back().message_count;
    } else {
      turns.push_back({message.role, message.text, i, 1});
    }
  }
  return turns;
}

Result<Session> session_from_json(const Json& line) {
  if (!line.is_object()) return bad("expected an object");
  auto id = id_from_json(line);
  if (!id) return id.error();
  auto system = get_string_or(line, "system", "");
  if (!system) return system.error();
  if (!line.contains("messages")) return bad("'messages': missing");
  auto messages = messages_from_json(line, "messages");
  if (!messages) return messages.error();
  if (messages->empty()) return bad("'messages': empty");

  Session session{.id = std::move(*id),
                  .system = std::move(*system),
                  .messages = std::move(*messages),
                  .tail = {},
                  .stop_seen = {}};
  if (line.contains("tail")) {
    auto tail = messages_from_json(line, "tail");
    if (!tail) return tail.error();
    session.tail = std::move(*tail);
  }
  if (line.contains("stop_seen")) {
    const auto seen = get_bool_or(line, "stop_seen", false);
    if (!seen) return seen.error();
    session.stop_seen = *seen;
  }
  session.extra = line;
  for (const char* key : {"session_id", "system", "messages", "tail", "stop_seen"}) {
    session.extra.erase(key);
  }
  return session;
}

Json to_json(const Session& session) {
  Json line = {{"session_id", session.id}};
  line.update(session.extra);
  if (!session.system.empty()) line["system"] = session.system;
  if (session.stop_seen) line["stop_seen"] = *session.stop_seen;
  line["messages"] = messages_to_json(session.messages);
  if (!session.tail.empty()) line["tail"] = messages_to_json(session.tail);
  return line;
}

}  // namespace l2a
