// From the raw form of a log's session to the sessions that are kept of it.
#pragma once

#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "dialogue/import.h"
#include "dialogue/session.h"

namespace l2a {

enum class LogRole { kUser, kAssistant, kSystem, kTool };

// What a log's role names mean. Immutable.
class RoleMap {
 public:
  // Throws Failure when a name is listed for two roles.
  explicit RoleMap(const RoleNames& names);
  std::optional<LogRole> find(const std::string& name) const;  // letter case does not count

 private:
  void add(const std::vector<std::string>& names, LogRole role);
  std::unordered_map<std::string, LogRole> roles_;  // by normalised name
};

// The session, cut where the silence between two timed messages is longer than `gap_s`; the parts
// after the first are called "<id>#2", "<id>#3", ... The tail stays with the last part; so does a
// stop that was seen, where one that was not holds for all of them.
std::vector<RawSession> cut_at_gaps(RawSession raw, double gap_s);

// Roles mapped, empty messages dropped, the system messages before the first turn joined into
// `system`, later ones and tool messages moved to extra["apart"] (they may tell what comes), each
// with the index of the message that it stood before. A message's own keys `role`, `content` and
// `before` become `log_role` and so on. Counts into `report`; `where` is
// "FILE:LINE". kInvalidInput ("WHERE: session ID: why") for an unknown role or no messages.
Result<Session> clean_session(RawSession raw, const RoleMap& roles, const std::string& where,
                              ImportReport& report);

// The role that says all there is, the tail apart; nullopt for a conversation.
std::optional<Role> only_speaker(const Session& session);

// Replaces secrets in every text of the session, its other keys included; counts. What stands under
// a message's `time_key` and is a time stays: seconds since 1970 have as many digits as a phone.
void redact_session(Session& session, const std::string& time_key, ImportReport& report);

}  // namespace l2a
