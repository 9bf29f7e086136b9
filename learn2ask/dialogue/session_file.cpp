#include "dialogue/session_file.h"

#include "base/jsonl.h"

namespace l2a {

std::vector<Session> read_sessions(const std::filesystem::path& path) {
  std::vector<Session> sessions;
  for_each_row(path, "sessions", [&](JsonLine&& line) {
    sessions.push_back(session_from_json(line.value).value_or_throw());
  });
  return sessions;
}

}  // namespace l2a
