#include "dialogue/clean_session.h"

#include <algorithm>
#include <utility>

#include "base/utf8.h"
#include "dialogue/redact.h"
#include "dialogue/timestamp.h"

namespace l2a {
namespace {

bool is_timestamp(const Json& value) {
  return value.is_string() && parse_timestamp(value.get_ref<const std::string&>());
}

// A key of the log's own that would stand where we write ours gets another name.
void rename_reserved(Json& extra) {
  for (const std::string key : {"role", "content", "before"}) {
    if (!extra.contains(key)) continue;
    extra["log_" + key] = extra[key];
    extra.erase(key);
  }
}

// What one list of messages becomes.
struct Sorted {
  std::vector<Message> messages;
  std::string system;
  Json apart = Json::array();
};

Result<Sorted> sort_messages(std::vector<RawMessage> raw, const RoleMap& roles,
                             const std::string& where, ImportReport& report) {
  Sorted sorted;
  for (size_t i = 0; i < raw.size(); ++i) {
    RawMessage& message = raw[i];
    rename_reserved(message.extra);
    const std::string place = where + ": message " + std::to_string(i + 1);
    ++report.messages_read;
    const auto role = roles.find(message.role);
    if (!role) {
      return Error{ErrorCode::kInvalidInput, place + ": unknown role '" + shown(message.role) +
                                                 "' (name it in import.roles)"};
    }
    const bool said = *role == LogRole::kUser || *role == LogRole::kAssistant;
    if (*role == LogRole::kSystem) report.system_messages.add(place);
    if (*role == LogRole::kTool) report.tool_messages.add(place);
    if (trim(message.text).empty() && *role != LogRole::kTool) {
      report.empty_messages.add(place);
    } else if (said) {
      sorted.messages.push_back({*role == LogRole::kUser ? Role::kUser : Role::kAssistant,
                                 std::move(message.text), std::move(message.extra)});
    } else if (*role == LogRole::kSystem && sorted.messages.empty()) {
      if (!sorted.system.empty()) sorted.system += '\n';
      sorted.system += message.text;
    } else {
      Json item = {
          {"role", message.role}, {"content", message.text}, {"before", sorted.messages.size()}};
      item.update(message.extra);
      sorted.apart.push_back(std::move(item));
    }
  }
  return sorted;
}

}  // namespace

RoleMap::RoleMap(const RoleNames& names) {
  add(names.user, LogRole::kUser);
  add(names.assistant, LogRole::kAssistant);
  add(names.system, LogRole::kSystem);
  add(names.tool, LogRole::kTool);
}

void RoleMap::add(const std::vector<std::string>& names, LogRole role) {
  for (const std::string& name : names) {
    const auto [entry, added] = roles_.try_emplace(normalise_text(name), role);
    if (!added && entry->second != role) {
      fail_input("import.roles: '" + shown(name) + "' stands for two roles");
    }
  }
}

std::optional<LogRole> RoleMap::find(const std::string& name) const {
  const auto found = roles_.find(normalise_text(name));
  if (found == roles_.end()) return std::nullopt;
  return found->second;
}

std::vector<RawSession> cut_at_gaps(RawSession raw, double gap_s) {
  std::vector<RawSession> parts;
  std::vector<RawMessage> messages = std::move(raw.messages);
  raw.messages.clear();
  const auto open_part = [&] {
    RawSession part{.line = raw.line,
                    .id = raw.id,
                    .system = raw.system,
                    .messages = {},
                    .tail = {},
                    // No end in the whole log is none in a part of it.
                    .stop_seen = raw.stop_seen == false ? raw.stop_seen : std::nullopt,
                    .extra = raw.extra};
    if (!parts.empty()) part.id += "#" + std::to_string(parts.size() + 1);
    parts.push_back(std::move(part));
  };
  open_part();
  std::optional<double> last;
  for (RawMessage& message : messages) {
    if (last && message.time_s && *message.time_s - *last > gap_s) open_part();
    if (message.time_s) last = message.time_s;
    parts.back().messages.push_back(std::move(message));
  }
  parts.back().tail = std::move(raw.tail);
  parts.back().stop_seen = raw.stop_seen;
  return parts;
}

Result<Session> clean_session(RawSession raw, const RoleMap& roles, const std::string& where,
                              ImportReport& report) {
  const auto bad = [&](const std::string& why) {
    return Error{ErrorCode::kInvalidInput, where + ": session '" + shown(raw.id) + "': " + why};
  };
  auto sorted = sort_messages(std::move(raw.messages), roles, where, report);
  if (!sorted) return sorted.error();
  if (sorted->messages.empty()) return bad("no messages");
  auto tail = sort_messages(std::move(raw.tail), roles, where + ": tail", report);
  if (!tail) return tail.error();

  Session session{.id = raw.id,
                  .system = std::move(raw.system),
                  .messages = std::move(sorted->messages),
                  .tail = std::move(tail->messages),
                  .stop_seen = raw.stop_seen,
                  .extra = std::move(raw.extra)};
  if (!session.system.empty() && !sorted->system.empty()) session.system += '\n';
  session.system += sorted->system;
  if (!sorted->apart.empty()) session.extra["apart"] = std::move(sorted->apart);
  if (!tail->system.empty()) session.extra["tail_system"] = tail->system;
  if (!tail->apart.empty()) session.extra["tail_apart"] = std::move(tail->apart);
  return session;
}

std::optional<Role> only_speaker(const Session& session) {
  const Role first = session.messages.front().role;
  const bool alone = std::all_of(session.messages.begin(), session.messages.end(),
                                 [&](const Message& m) { return m.role == first; });
  return alone ? std::optional(first) : std::nullopt;
}

void redact_session(Session& session, const std::string& time_key, ImportReport& report) {
  Redactor redactor;
  session.system = redactor.redact(session.system);
  for (auto* messages : {&session.messages, &session.tail}) {
    for (Message& message : *messages) {
      message.text = redactor.redact(message.text);
      for (const auto& [key, value] : message.extra.items()) {
        const bool is_time = key == time_key && (value.is_number() || is_timestamp(value));
        if (!is_time) redactor.redact(value);
      }
    }
  }
  redactor.redact(session.extra);
  for (const Secret kind : {Secret::kEmail, Secret::kPhone, Secret::kCard}) {
    report.redacted[static_cast<size_t>(kind)] += redactor.replaced(kind);
  }
}

}  // namespace l2a
