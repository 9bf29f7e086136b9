#include "dialogue/session_file.h"

#include <fstream>

#include <gtest/gtest.h>

#include "base/jsonl.h"
#include "base/testing.h"

namespace l2a {
namespace {

const std::string kHeader =
    dump_json(to_json(FileHeader{"sessions", 1, "", "", "", Json::object()}));
constexpr const char* kFever = R"({"session_id":"b","messages":[{"role":"user","content":"Hi"}]})";
constexpr const char* kCough = R"({"session_id":"a","messages":[{"role":"user","content":"Oh"}]})";

TEST(ReadSessions, GivesThoseOfTheFileInItsOrder) {
  const TempDir folder;
  const auto path = folder / "log.jsonl";
  for (const bool header : {true, false}) {
    std::ofstream(path) << (header ? kHeader : std::string()) << '\n'
                        << kFever << "\n\n"
                        << kCough << '\n';
    const auto sessions = read_sessions(path);
    ASSERT_EQ(sessions.size(), 2u);
    EXPECT_EQ(sessions[0].id, "b");
    EXPECT_EQ(sessions[1].id, "a");
    EXPECT_EQ(sessions[1].messages[0].text, "Oh");
  }
}

TEST(ReadSessions, NamesTheLineThatIsNoSession) {
  const TempDir folder;
  const auto path = folder / "log.jsonl";
  std::ofstream(path) << kHeader << '\n' << kFever << '\n' << R"({"session_id":"c"})" << '\n';
  EXPECT_EQ(failure_of([&] { read_sessions(path); }), path.string() + ":3: 'messages': missing");
  EXPECT_THROW(read_sessions(folder / "none.jsonl"), Failure);
}

}  // namespace
}  // namespace l2a
