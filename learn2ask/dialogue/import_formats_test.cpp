#include "dialogue/import_formats.h"

#include <gtest/gtest.h>

#include "base/file.h"
#include "base/jsonl.h"
#include "base/testing.h"

namespace l2a {
namespace {

// "id: role=text role=text ..." of each session, or its error.
std::vector<std::string> read_all(const std::string& text, LogFormat format) {
  const TempDir dir;
  write_file_atomic(dir / "chats.log", text);
  const auto log = open_log(dir / "chats.log", "log", format, {});
  std::vector<std::string> seen;
  while (auto session = log->next()) {
    if (!*session) {
      seen.push_back(session->error().message);
      continue;
    }
    seen.push_back((*session)->id + ":");
    for (const auto& m : (*session)->messages) seen.back() += " " + m.role + "=" + m.text;
  }
  return seen;
}

using Seen = std::vector<std::string>;

TEST(RealMedConvLog, IsReadWithOrWithoutAHeader) {
  const std::string session =
      R"({"session_id": 3, "messages": [{"role": "user", "content": "hi"}], "tail": []})";
  EXPECT_EQ(read_all(session, LogFormat::kRealMedConv), Seen{"3: user=hi"});
  FileHeader header;
  header.format = "sessions";
  EXPECT_EQ(read_all(dump_json(to_json(header)) + "\n" + session, LogFormat::kRealMedConv),
            Seen{"3: user=hi"});
}

TEST(OpenAiLog, TakesTextsPartsAndToolCalls) {
  EXPECT_EQ(read_all(R"({"messages":[{"role":"system","content":"s"},{"role":"user","content":[)"
                     R"({"type":"text","text":"a"},{"type":"text","text":"b"}]},)"
                     R"({"role":"assistant","content":null,"tool_calls":[]},)"
                     R"({"role":"assistant","tool_calls":[]}]})"
                     "\n"
                     R"({"id":"x","messages":[]})",
                     LogFormat::kOpenAi),
            (Seen{": system=s user=a\nb assistant= assistant=", "x:"}));
}

TEST(ShareGptLog, TakesItsOwnKeys) {
  EXPECT_EQ(read_all(R"({"id":"c1","conversations":[{"from":"human","value":"hi"},)"
                     R"({"from":"gpt","value":"Age?"}]})",
                     LogFormat::kShareGpt),
            Seen{"c1: human=hi gpt=Age?"});
}

TEST(JsonLogs, SayWhatIsWrongWithARecordAndGoOn) {
  const struct {
    const char *line, *message;
  } cases[] = {
      {R"({"messages":[]})", "log:1: 'session_id': missing"},
      {R"({"session_id":"","messages":[]})", "log:1: 'session_id': blank"},
      {R"({"session_id":[],"messages":[]})",
       "log:1: 'session_id': expected a string or a whole number, got an array"},
      {R"({"session_id":1})", "log:1: 'messages': missing"},
      {R"({"session_id":1,"messages":"x"})", "log:1: 'messages': expected an array, got a string"},
      {R"({"session_id":1,"messages":[3]})",
       "log:1: 'messages'[0]: expected an object, got a number"},
      {R"({"session_id":1,"messages":[{"content":"x"}]})", "log:1: 'messages'[0]: 'role': missing"},
      {R"({"session_id":1,"messages":[{"role":"user","content":{}}]})",
       "log:1: 'messages'[0]: 'content': expected a string, got an object"},
      {R"({"session_id":1,"messages":[{"role":"user","content":[{"type":"image_url"}]}]})",
       "log:1: 'messages'[0]: 'content': a part of type 'image_url'"},
      {R"({"session_id":1,"messages":[{"role":"user","content":"x","time":"soon"}]})",
       "log:1: 'messages'[0]: 'time': expected a time such as 2026-01-31T12:00:00Z, got 'soon'"},
      {R"({"session_id":1,"messages":[],"tail":[{}]})", "log:1: 'tail'[0]: 'role': missing"},
      {R"({"session_id":1,"messages":[],"stop_seen":1})",
       "log:1: 'stop_seen': expected true or false, got a number"},
      {"3", "log:1: expected a JSON object"},
      {"{", "log:1: byte 2: not JSON: unexpected end of input; expected string literal"},
  };
  for (const auto& c : cases) {
    EXPECT_EQ(read_all(std::string(c.line) + "\n{\"session_id\":9,\"messages\":[]}\n",
                       LogFormat::kRealMedConv),
              (Seen{c.message, "9:"}));
  }
}

TEST(JsonLogs, MayBeOneArray) {
  EXPECT_EQ(read_all(R"([{"id":"c1","conversations":[{"from":"human","value":"hi"}]},
{"id":"c2","conversations":3}, 4,
{"id":"c3","conversations":[]}])",
                     LogFormat::kShareGpt),
            (Seen{"c1: human=hi", "log:2: 'conversations': expected an array, got a number",
                  "log:2: expected a JSON object", "c3:"}));
  EXPECT_EQ(failure_of([] { read_all("[{}", LogFormat::kOpenAi); }),
            "log:1: the array that begins here is not closed");
}

TEST(CsvLog, GathersTheRowsOfASession) {
  EXPECT_EQ(read_all("role,session,text,time,shop\n"
                     "user,a,\"hi, there\",2026-01-01T00:00:00Z,1\n"
                     "expert,a,Age?,,1\n"
                     "user,b,yo,5,2\n",
                     LogFormat::kCsv),
            (Seen{"a: user=hi, there expert=Age?", "b: user=yo"}));
  EXPECT_EQ(read_all("session,role,text\n", LogFormat::kCsv), Seen{});
}

TEST(CsvLog, KeepsTimesAndFurtherColumns) {
  const TempDir dir;
  write_file_atomic(dir / "f.csv", "session,role,text,time,shop\na,user,hi,60,north\n");
  const auto session = open_log(dir / "f.csv", "f", LogFormat::kCsv, {})->next();
  ASSERT_TRUE(session && *session);
  EXPECT_EQ((*session)->messages[0].time_s, 60);
  EXPECT_EQ((*session)->messages[0].extra, (Json{{"time", "60"}, {"shop", "north"}}));
  EXPECT_EQ((*session)->line, 2u);
}

TEST(CsvLog, ABadRowSpoilsTheSessionsItMayBelongTo) {
  const std::string header = "session,role,text\n";
  EXPECT_EQ(read_all(header + "a,user,1\na,x\na,user,2\nb,user,3\n", LogFormat::kCsv),
            (Seen{"log:3: expected 3 fields, got 2", "b: user=3"}));
  EXPECT_EQ(
      read_all(header + "a,user,1\n?\nb,user,3\nb,user,4\nc,user,5\n", LogFormat::kCsv),
      (Seen{"log:3: expected 3 fields, got 1", "log:3: expected 3 fields, got 1", "c: user=5"}));
  EXPECT_EQ(read_all(header + "?\na,user,1\n", LogFormat::kCsv),
            (Seen{"log:2: expected 3 fields, got 1"}));
  EXPECT_EQ(read_all(header + "a,user,1\n?\n", LogFormat::kCsv),
            (Seen{"log:3: expected 3 fields, got 1"}));
  EXPECT_EQ(read_all(header + "?\n", LogFormat::kCsv), (Seen{"log:2: expected 3 fields, got 1"}));
  EXPECT_EQ(read_all(header + " ,user,1\nb,user,2\n", LogFormat::kCsv),
            (Seen{"log:2: no session", "b: user=2"}));
  EXPECT_EQ(read_all("session,role,text,time\na,user,1,soon\n", LogFormat::kCsv),
            (Seen{"log:2: expected a time such as 2026-01-31T12:00:00Z, got 'soon'"}));
}

TEST(CsvLog, NeedsItsColumns) {
  EXPECT_EQ(failure_of([] { read_all("id,role,text\n", LogFormat::kCsv); }),
            "log:1: no column 'session' (name it with import.csv.*)");
  EXPECT_EQ(failure_of([] { read_all("", LogFormat::kCsv); }), "log: empty");
}

TEST(DetectLogFormat, LooksAtTheFirstRecord) {
  const struct {
    const char* text;
    LogFormat format;
  } cases[] = {
      {"{\"session_id\":1,\"messages\":[]}", LogFormat::kRealMedConv},
      {"\xEF\xBB\xBF\n\n{\"messages\":[]}", LogFormat::kOpenAi},
      {"{broken\n{}\n{\"conversations\":[]}", LogFormat::kShareGpt},
      {"{\"learn2ask\":\"sessions\"}", LogFormat::kRealMedConv},
      {" [3,\n{\"conversations\":[]}]", LogFormat::kShareGpt},
      {"session,role,text\n", LogFormat::kCsv},
      {"\"session\",role,text\n", LogFormat::kCsv},
  };
  const TempDir dir;
  for (const auto& c : cases) {
    write_file_atomic(dir / "f", c.text);
    EXPECT_EQ(detect_log_format(dir / "f", "f"), c.format) << c.text;
  }
}

TEST(DetectLogFormat, SaysWhenItIsNone) {
  const TempDir dir;
  const auto detect = [&](const std::string& text) {
    write_file_atomic(dir / "f", text);
    return failure_of([&] { detect_log_format(dir / "f", "log"); });
  };
  EXPECT_EQ(detect(""), "log: empty");
  EXPECT_EQ(detect(" \n"), "log: empty");
  for (const char* text : {"\n{\"text\":1}", "{\n[]\n"}) {
    EXPECT_EQ(detect(text),
              "log: unknown format: no record has 'messages' or 'conversations' (say which with "
              "--format)");
  }
  EXPECT_EQ(failure_of([&] { detect_log_format(dir / "none", "log"); }), "log: no such file");
  EXPECT_EQ(failure_of([&] { detect_log_format(dir.path(), "log"); }), "log: is a directory");
}

}  // namespace
}  // namespace l2a
