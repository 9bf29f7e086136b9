#include "dialogue/session_file.h"

#include "base/jsonl.h"

namespace l2a {

std::vector<Session> read_sessions(const std::filesystem::path& path) {
  std::vector<Session> sessions;
  for_each_row(path, "sessions", [&](JsonLine&& line) {
    auto session = session_from_json(line.value);
    if (!session) {
      fail_input(path.string() + ":" + std::to_string(line.number) + ": " +
                 session.error().message);
    }
    sessions.push_back(std::move(*session));
  });
  return sessions;
}

}  // namespace l2a
