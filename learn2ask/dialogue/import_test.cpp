#include "dialogue/import.h"

#include <cmath>
#include <map>
#include <sstream>
#include <thread>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "base/rng.h"
#include "base/testing.h"
#include "base/utf8.h"
#include "dialogue/session.h"

namespace l2a {
namespace {

namespace fs = std::filesystem;

FileHeader test_header() {
  FileHeader header;
  header.command = "import";
  return header;
}

// One import of texts into a folder of its own.
class Import {
 public:
  explicit Import(const std::string& log, ImportOptions options = {}) {
    add(log);
    run(options);
  }
  Import() = default;

  void add(const std::string& log, std::optional<Split> split = {}) {
    add_as("log" + std::to_string(inputs_.size() + 1), log, split);
  }
  void add_as(const std::string& name, const std::string& log, std::optional<Split> split = {}) {
    fs::create_directories((dir_ / name).parent_path());
    write_file_atomic(dir_ / name, log);
    inputs_.push_back({dir_ / name, name, split});
  }
  void run(const ImportOptions& options = {}) {
    fs::create_directories(dir_ / "out");
    report = import_logs(inputs_, options, test_header(), dir_ / "out");
  }

  std::string file(const std::string& name) const { return read_file(dir_ / "out" / name); }
  bool has(const std::string& name) const { return fs::exists(dir_ / "out" / name); }
  // The sessions of all splits, by id.
  std::map<std::string, Session> sessions() const {
    std::map<std::string, Session> all;
    for (const Split split : kSplits) {
      const std::string name = std::string(split_name(split)) + ".jsonl";
      if (split == Split::kHeldOut && !has(name)) continue;
      for_each_row(dir_ / "out" / name, "sessions", [&](JsonLine&& line) {
        auto session = session_from_json(line.value).value_or_throw();
        all.emplace(session.id, std::move(session));
      });
    }
    return all;
  }

  ImportReport report;

 private:
  TempDir dir_;
  std::vector<ImportInput> inputs_;
};

Json message(const std::string& role, const std::string& text) {
  return {{"role", role}, {"content", text}};
}

std::string session_line(const Json& id, const Json& messages) {
  return dump_json(Json{{"session_id", id}, {"messages", messages}}) + "\n";
}

std::string chat(const Json& id, const std::string& said) {
  return session_line(id, {message("user", said), message("assistant", "How long?")});
}

ImportOptions lenient() {
  ImportOptions options;
  options.max_failure_rate = 1;
  return options;
}

TEST(Import, MapsRolesDropsEmptyMessagesAndKeepsTheRestApart) {
  const Import import(
      session_line("s", {message("System", "Be kind."), message("developer", "Be brief."),
                         message("Patient", "hello"), message("tool", "{\"age\":3}"),
                         message("user", " \n"), message("user", "my head hurts"),
                         message("system", "agent joined"), message("Doctor", "How long?")}));
  const Session s = import.sessions().at("s");
  EXPECT_EQ(s.system, "Be kind.\nBe brief.");
  ASSERT_EQ(s.messages.size(), 3u);
  EXPECT_EQ(s.messages[1].text, "my head hurts");
  EXPECT_EQ(s.messages[2].role, Role::kAssistant);
  EXPECT_EQ(dump_json(s.extra["apart"]),
            R"([{"role":"tool","content":"{\"age\":3}","before":1},)"
            R"({"role":"system","content":"agent joined","before":2}])");
  EXPECT_EQ(import.report.messages_read, 8u);
  EXPECT_EQ(import.report.messages_written, 3u);
  EXPECT_EQ(import.report.messages_merged, 1u);
  EXPECT_EQ(import.report.system_messages.count, 3u);
  EXPECT_EQ(import.report.tool_messages.count, 1u);
  EXPECT_EQ(import.report.empty_messages.examples, std::vector<std::string>{"log1:1: message 5"});
}

TEST(Import, TakesTheRolesItIsTold) {
  ImportOptions options;
  options.roles.user = {"A"};
  options.roles.assistant = {"b"};
  const Import import(session_line(1, {message("a", "x"), message("B", "y?")}), options);
  EXPECT_EQ(import.sessions().at("1").messages[1].role, Role::kAssistant);
}

TEST(Import, RefusesARoleThatMeansTwoThings) {
  ImportOptions options;
  options.roles.user = {"Agent"};
  EXPECT_EQ(failure_of([&] { Import(chat(1, "x"), options); }),
            "import.roles: 'agent' stands for two roles");
}

TEST(Import, CountsWhatCannotBeUsedWithItsLine) {
  const struct {
    std::string line, message;
  } cases[] = {
      {session_line("s", Json::array()), "log1:1: session 's': no messages"},
      {session_line("s", Json::array({message("user", " ")})), "log1:1: session 's': no messages"},
      {session_line("s", {message("user", "x"), message("user", "y")}),
       "log1:1: session 's': only the user says anything"},
      {session_line("s", {message("assistant", "x?"), message("system", "y")}),
       "log1:1: session 's': only the assistant says anything"},
      {session_line("s", {message("user", "x"), message("boss", "y")}),
       "log1:1: message 2: unknown role 'boss' (name it in import.roles)"},
      {"{\"session_id\":1,\"messages\":7}\n",
       "log1:1: 'messages': expected an array, got a number"},
      {"{\"session_id\":\"\xff\",\"messages\":[]}\n", "log1:1: byte 16: invalid UTF-8"},
      {std::string("{\"session_id\":\"\0\"}\n", 19), "log1:1: byte 16: NUL"},
      {"{\"session_id\":" + std::string(100'000, '[') + "\n",
       "log1:1: byte 78: nested deeper than 64 levels"},
      {"{\"session_id\":\"" + std::string(100 << 20, 'x') + "\"}\n",
       "log1:1: line longer than 16 MiB"},
  };
  for (const auto& c : cases) {
    const Import import(c.line + chat("good", "x"), lenient());
    EXPECT_EQ(import.report.failures.examples, std::vector<std::string>{c.message});
    EXPECT_EQ(import.file("failures.jsonl"), dump_json(Json{{"error", c.message}}) + "\n");
    EXPECT_EQ(import.report.sessions_read, 2u);
    EXPECT_EQ(import.sessions().size(), 1u);
  }
}

TEST(Import, RefusesAnIdGivenToTwoSessions) {
  EXPECT_EQ(failure_of([] { Import(chat("a", "x") + chat("b", "x") + chat("a", "y")); }),
            "log1:3: session id 'a' was given to another session at log1:1");
  EXPECT_EQ(failure_of([] {
              Import import;
              import.add(chat(1, "x"));
              import.add(chat("1", "y"));
              import.run();
            }),
            "log2:1: session id '1' was given to another session at log1:1");
}

TEST(Import, SaysThatTheRowsOfACsvSessionStandTogether) {
  const std::string csv =
      "session,role,text\nA,user,I cough.\nA,assistant,Since when?\nB,user,I ache.\n"
      "B,assistant,Where?\nA,user,Since Monday.\nA,assistant,Any fever?\n";
  EXPECT_EQ(failure_of([&] { Import import(csv, ImportOptions()); }),
            "log1:6: session id 'A' was given to another session at log1:2 (the rows of a session "
            "stand together in a CSV log: sort it by session)");
}

TEST(Import, WritesARepeatedRecordOnceAndARepeatedTextAgain) {
  const Import import(chat("a", "Same  TEXT") + chat("b", "same text") + chat("a", "Same  TEXT"));
  EXPECT_EQ(import.report.repeated_records.examples,
            std::vector<std::string>{"log1:3: same id and text as log1:1"});
  EXPECT_EQ(import.report.repeated_texts.examples,
            std::vector<std::string>{"log1:2: same text as log1:1"});
  EXPECT_EQ(import.sessions().size(), 2u);
}

std::string many_chats(size_t n) {
  std::string log;
  for (size_t i = 0; i < n; ++i) log += chat(i, "complaint number " + std::to_string(i));
  return log;
}

TEST(Import, SplitsByTheWordsAloneSoThatCopiesStayTogether) {
  std::string log = many_chats(3000), copies;
  for (size_t i = 0; i < 3000; ++i) {
    copies += chat("copy-" + std::to_string(i), "  Complaint NUMBER\n" + std::to_string(i));
  }
  Import import;
  import.add(log);
  import.add(copies);
  import.run();
  EXPECT_EQ(import.report.repeated_texts.count, 3000u);
  EXPECT_EQ(import.report.straddling_texts.count, 0u);
  for (size_t s = 0; s < 3; ++s) {
    const double share = s == 0 ? 0.8 : 0.1, expected = 6000 * share;
    // Copies go in pairs: twice the binomial variance.
    EXPECT_NEAR(static_cast<double>(import.report.written[s]), expected,
                4 * std::sqrt(2 * expected * (1 - share)));
  }
}

TEST(Import, ASplitDoesNotDependOnTheOrderOrTheOtherSessions) {
  const Import all(many_chats(500));
  Import one_by_one;
  for (int i = 499; i >= 0; i -= 7) {
    one_by_one.add(chat(i, "complaint number " + std::to_string(i)));
  }
  one_by_one.run();
  std::istringstream lines(one_by_one.file("test.jsonl"));
  std::string line;
  std::getline(lines, line);  // the header
  size_t found = 0;
  for (; std::getline(lines, line); ++found) {
    EXPECT_NE(all.file("test.jsonl").find(line), std::string::npos);
  }
  EXPECT_GT(found, 0u);
}

TEST(Import, GivenSplitsStayAsTheyAre) {
  Import import;
  import.add(chat(1, "x") + chat(2, "y"), Split::kTrain);
  import.add(chat(1, "z") + chat(2, "x"), Split::kDev);  // numbered from 1 again
  import.run();
  EXPECT_EQ(import.report.written, (std::array<size_t, 4>{2, 2, 0, 0}));
  EXPECT_EQ(import.report.straddling_texts.examples,
            std::vector<std::string>{"log2:2: same text as log1:1"});
  EXPECT_FALSE(import.has("held_out.jsonl"));
}

TEST(Import, TrainHoldsOutAShareByTheWordsAlone) {
  ImportOptions options;
  options.held_out_share = 0.1;
  Import import;
  import.add(many_chats(2000), Split::kTrain);
  std::string copies;  // what train holds out stays together with its copies
  for (size_t i = 0; i < 2000; ++i) {
    copies += chat("copy-" + std::to_string(i), "COMPLAINT number " + std::to_string(i));
  }
  import.add(copies, Split::kTrain);
  import.add(chat(0, "of dev"), Split::kDev);
  import.run(options);
  const auto& [train, dev, test, held_out] = import.report.written;
  EXPECT_EQ(train + held_out, 4000u);
  EXPECT_EQ(dev, 1u);
  EXPECT_EQ(test, 0u);
  EXPECT_EQ(import.report.straddling_texts.count, 0u);
  EXPECT_NEAR(static_cast<double>(held_out), 400, 4 * std::sqrt(2 * 400 * 0.9));
  EXPECT_NE(summary_of(import.report).find(", held out of train " + std::to_string(held_out)),
            std::string::npos);
  EXPECT_EQ(import.sessions().size(), 4000u);  // dev's 0 and train's have one id
}

TEST(Import, HoldingOutTakesFromTrainAlone) {
  ImportOptions options;
  const Import before(many_chats(2000), options);
  options.held_out_share = 0.25;
  const Import after(many_chats(2000), options);
  EXPECT_EQ(after.report.written[1], before.report.written[1]);
  EXPECT_EQ(after.report.written[2], before.report.written[2]);
  const double expected = 0.25 * static_cast<double>(before.report.written[0]);
  EXPECT_NEAR(static_cast<double>(after.report.written[3]), expected,
              4 * std::sqrt(expected * 0.75));
}

TEST(Import, AnIdStandsOnceInTrainAndWhatItHoldsOut) {
  ImportOptions options;
  options.held_out_share = 0.5;
  for (int i = 0; i < 20; ++i) {  // both orders of the splits, and both in one
    Import import;
    import.add(chat(1, "x") + chat(1, "y" + std::to_string(i)), Split::kTrain);
    EXPECT_EQ(failure_of([&] { import.run(options); }),
              "log1:2: session id '1' was given to another session at log1:1");
  }
}

TEST(Import, ALongSilenceStartsANewSession) {
  const std::string csv =
      "session,role,text,time\n"
      "a,user,hi,0\na,expert,age?,1700\na,user,30,3600\na,user,back again,10000\n"
      "a,expert,what now?,10001\na,user,bye,99999\n";
  ImportOptions options;
  options.max_failure_rate = 0;  // a goodbye an hour later is no failure
  options.session_gap = "30m";
  const Import import(csv, options);
  const auto sessions = import.sessions();
  ASSERT_EQ(sessions.size(), 2u);
  EXPECT_EQ(sessions.at("a").messages.size(), 2u);
  EXPECT_EQ(sessions.at("a#3").messages.size(), 2u);
  EXPECT_EQ(import.report.gaps.count, 3u);
  EXPECT_EQ(import.report.one_sided_parts.examples,
            (std::vector<std::string>{"log1:2: session 'a#2': only the user says anything",
                                      "log1:2: session 'a#4': only the user says anything"}));
}

TEST(Import, ALogWithoutAnEndHasNoneInItsParts) {
  const auto session = [](const std::string& stop_seen) {
    return R"({"session_id":"a","stop_seen":)" + stop_seen +
           R"(,"messages":[)"
           R"({"role":"user","content":"hi","time":0},{"role":"expert","content":"wait","time":1},)"
           R"({"role":"user","content":"so?","time":9000},)"
           R"({"role":"expert","content":"age?","time":9001}]})"
           "\n";
  };
  ImportOptions options;
  options.session_gap = "30m";
  auto parts = Import(session("false"), options).sessions();
  EXPECT_EQ(parts.at("a").stop_seen, false);
  EXPECT_EQ(parts.at("a#2").stop_seen, false);
  parts = Import(session("true"), options).sessions();
  EXPECT_EQ(parts.at("a").stop_seen, std::nullopt);
  EXPECT_EQ(parts.at("a#2").stop_seen, true);
}

TEST(Import, TimesInMillisecondsAreNotTakenForSeconds) {
  ImportOptions options;
  options.session_gap = "30m";
  const std::string log =
      R"({"session_id":"a","messages":[{"role":"user","content":"hi","time":1706702400000},)"
      R"({"role":"expert","content":"age?","time":1706702402000}]})"
      "\n";
  EXPECT_NE(failure_of([&] {
              Import(log, options);
            }).find("log1:1: session 'a': time 1706702400000: expected seconds since 1970"),
            std::string::npos);
  options.max_failure_rate = 1;
  EXPECT_EQ(failure_of([&] { Import(log, options); }),
            "import: no session of the logs can be used");
}

TEST(Import, KeepsAMessagesOwnKeysUnderOtherNames) {
  ImportOptions options;
  options.csv.role = "speaker";
  const Import import("session,speaker,role,text\na,user,patient,hi\na,expert,nurse,age?\n",
                      options);
  const Session session = import.sessions().at("a");
  EXPECT_EQ(session.messages[0].extra["log_role"], "patient");
  EXPECT_EQ(session.messages[1].extra["log_role"], "nurse");
}

TEST(Import, ASessionGapNeedsTimes) {
  ImportOptions options;
  options.session_gap = "30m";
  EXPECT_EQ(failure_of([&] { Import(chat(1, "x"), options); }),
            "import: --session-gap was given, but no message has a time");
  options.session_gap = "soon";
  EXPECT_EQ(failure_of([&] { Import(chat(1, "x"), options); }),
            "import.session_gap: expected a duration such as 90s, 30m, 2h or 1d, got 'soon'");
}

TEST(Import, RedactsEverythingThatIsKept) {
  ImportOptions options;
  options.redact = true;
  const Import import(
      R"({"session_id":1,"system":"to jo@x.com","shop":"555-123-4567","fax":15551239999,"messages":[)"
      R"({"role":"user","content":"I am jo@x.com","time":1706702400,"labels":{"contact":"JO@x.com"}},)"
      R"({"role":"tool","content":"ann@x.com"},)"
      R"({"role":"assistant","content":"555 123 4567, right?"}],)"
      R"("tail":[{"role":"user","content":"4111 1111 1111 1111"}]})"
      "\n",
      options);
  const std::string all =
      import.file("train.jsonl") + import.file("dev.jsonl") + import.file("test.jsonl");
  for (const char* secret : {"jo@", "JO@", "ann@", "555", "4111"}) {
    EXPECT_EQ(all.find(secret), std::string::npos) << all;
  }
  EXPECT_EQ(import.sessions().at("1").messages[0].text, "I am <EMAIL_1>");
  EXPECT_EQ(import.sessions().at("1").messages[0].extra["time"], 1706702400);
  EXPECT_EQ(import.report.redacted, (std::array<size_t, 3>{4, 3, 1}));
}

TEST(Import, RedactsWhatItQuotesOfSessionsThatCannotBeUsed) {
  ImportOptions options = lenient();
  options.redact = true;
  const Import import(chat("1", "x") + session_line("2", Json::array({message("ann@x.com", "y")})),
                      options);
  EXPECT_EQ(import.report.failures.count, 1u);
  for (const char* file : {"failures.jsonl", "train.jsonl", "dev.jsonl", "test.jsonl"}) {
    EXPECT_EQ(import.file(file).find("ann@"), std::string::npos) << file;
  }
  EXPECT_NE(import.file("failures.jsonl").find("<EMAIL_1>"), std::string::npos);
  EXPECT_EQ(import.report.failures.examples.front().find("ann@"), std::string::npos);
}

TEST(Import, RedactsAnIdThatTellsWhoItIs) {
  ImportOptions options;
  options.redact = true;
  const Import import(chat("+49 30 1234567", "x") + chat("shop-17", "y"), options);
  const auto sessions = import.sessions();
  EXPECT_EQ(sessions.size(), 2u);
  EXPECT_TRUE(sessions.contains("log1-1"));
  EXPECT_TRUE(sessions.contains("shop-17"));
}

TEST(Import, MakesUpIdsThatNoTwoFilesShare) {
  Import import;
  for (const char* said : {"2024", "2025"}) {
    const Json messages = {message("user", said), message("assistant", "Why?")};
    import.add_as(std::string(said) + "/chat.jsonl", dump_json({{"messages", messages}}) + "\n");
  }
  import.run();
  const auto sessions = import.sessions();
  EXPECT_EQ(sessions.size(), 2u);
  EXPECT_EQ(sessions.at("chat-1").messages[0].text, "2024");
  EXPECT_EQ(sessions.at("chat-2-1").messages[0].text, "2025");
}

TEST(Import, StopsPastTheFailureRateAndListsTheFailures) {
  std::string log = "{}\n";
  for (int i = 0; i < 10; ++i) log += chat(i, std::to_string(i));
  Import import;
  import.add(log);
  const std::string message = failure_of([&] { import.run(); });
  EXPECT_EQ(message.substr(0, message.find(" (all are in")),
            "import: 1 of 11 sessions can't be used (import.max_failure_rate = 0.05), first "
            "log1:1: 'session_id': missing");
  EXPECT_TRUE(import.has("failures.jsonl"));
  EXPECT_FALSE(import.has("train.jsonl"));
  EXPECT_FALSE(import.has("import-report.json"));
}

TEST(Import, StopsEarlyInALongLogThatIsBroken) {
  std::string log = chat(1, "x");
  for (int i = 0; i < 5000; ++i) log += "{}\n";
  Import import;
  import.add(log);
  const std::string message = failure_of([&] { import.run(); });
  EXPECT_EQ(message.substr(0, message.find(" can't")), "import: 199 of 200 sessions");
}

TEST(Import, NeedsASession) {
  EXPECT_EQ(failure_of([] { Import("session,role,text\n"); }), "import: no session in the logs");
  EXPECT_EQ(failure_of([] { Import("\n"); }), "log1: empty");
}

TEST(Import, KilledAndRunAgainItGivesTheSameBytes) {
  const std::string log = many_chats(3000);
  Import reference(log);
  const TempDir dir;
  write_file_atomic(dir / "log1", log);
  const std::vector<ImportInput> inputs = {{dir / "log1", "log1", std::nullopt}};
  fs::create_directories(dir / "out");
  Rng rng(1);
  int killed = 0;
  for (int i = 0; i < 10; ++i) {
    const pid_t child = fork();
    if (child == 0) {
      import_logs(inputs, {}, test_header(), dir / "out");
      _exit(0);
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(rng.below(60)));
    kill(child, SIGKILL);
    int status = 0;
    waitpid(child, &status, 0);
    killed += WIFSIGNALED(status);
  }
  EXPECT_GT(killed, 0);  // some were at work
  import_logs(inputs, {}, test_header(), dir / "out");
  size_t files = 0;
  for (const auto& entry : fs::directory_iterator(dir / "out")) {
    ++files;
    EXPECT_EQ(read_file(entry.path()), reference.file(entry.path().filename()));
  }
  EXPECT_EQ(files, 5u);
}

TEST(Import, InterruptedItLeavesNothing) {
  Import import;
  import.add(many_chats(100));
  const TempDir dir;
  write_file_atomic(dir / "log", many_chats(100));
  fs::create_directory(dir / "out");
  size_t seen = 0;
  EXPECT_EQ(failure_of([&] {
              import_logs({{dir / "log", "log", std::nullopt}}, {}, test_header(), dir / "out",
                          [&] {
                            if (++seen == 50) fail(ErrorCode::kUnavailable, "stop");
                          });
            }),
            "stop");
  EXPECT_TRUE(fs::is_empty(dir / "out"));
}

TEST(Import, OnAFullDiskItSaysSo) {
  const TempDir dir;
  write_file_atomic(dir / "log", many_chats(3000));
  fs::create_directory(dir / "out");
  fs::create_symlink("/dev/full", dir / "out/train.jsonl.partial");
  EXPECT_EQ(failure_of([&] {
              import_logs({{dir / "log", "log", std::nullopt}}, {}, test_header(), dir / "out");
            }),
            "write: " + (dir / "out/train.jsonl").string() + ": disk full");
  EXPECT_TRUE(fs::is_empty(dir / "out"));
}

TEST(Import, TheReportCanBeReadByProgramsAndPeople) {
  const Import import(chat("a", "x") + chat("b", "X"));
  const auto report = parse_json(import.file("import-report.json"));
  ASSERT_TRUE(report);
  EXPECT_EQ((*report)["sessions_repeated_under_another_id"]["count"], 1);
  EXPECT_EQ((*report)["inputs"][0]["format"], "realmedconv");
  const size_t train = import.report.written[0], dev = import.report.written[1];
  EXPECT_EQ(summary_of(import.report),
            "read      log1 (realmedconv)\n"
            "sessions  2 read, 2 written: train " +
                std::to_string(train) + ", dev " + std::to_string(dev) + ", test " +
                std::to_string(2 - train - dev) +
                "\nmessages  4 read, 4 written\n"
                "          1 sessions with the text of another, kept in its split, first log1:2: "
                "same text as log1:1\n");
}

TEST(Import, ReplacesNothingButSessionsOfTheSameLogs) {
  const std::string log = chat("a", "hello"), other = chat("b", "my head hurts");
  Import import(log);
  import.run();  // the same once more
  const std::string before = import.file("train.jsonl"), report = import.file("import-report.json");
  import.add(other);
  EXPECT_NE(failure_of([&] { import.run(); }).find("is there already, and not of these logs"),
            std::string::npos);
  EXPECT_EQ(import.file("train.jsonl"), before);
  EXPECT_EQ(import.file("import-report.json"), report);

  const TempDir raw;  // a log where its import would go
  for (const std::string name : {"train.jsonl", "test.jsonl"}) {
    write_file_atomic(raw / name, other);
    EXPECT_NE(failure_of([&] {
                import_logs({{raw / name, name, Split::kTrain}}, {}, test_header(), raw.path());
              }).find(name + ": is there already"),
              std::string::npos);
    EXPECT_EQ(read_file(raw / name), other);
    fs::remove(raw / name);
  }
}

TEST(ImportOptions, HaveTheseKeys) {
  std::vector<std::string> keys;
  for (const auto& field : list_config(ImportOptions{})) keys.push_back(field.key);
  EXPECT_EQ(keys,
            (std::vector<std::string>{"format", "session_gap", "redact", "dev_share", "test_share",
                                      "held_out_share", "max_failure_rate", "roles.user",
                                      "roles.assistant", "roles.system", "roles.tool",
                                      "csv.session", "csv.role", "csv.text", "csv.time"}));
}

TEST(SpoolInput, KeepsACopyUntilThereIsANewOne) {
  const TempDir dir;
  std::istringstream none, first("one"), second(std::string(200'000, 'x'));
  EXPECT_EQ(failure_of([&] { spool_input(none, dir.path()); }), "standard input: empty");
  EXPECT_EQ(read_file(spool_input(first, dir.path())), "one");
  std::istringstream nothing;
  EXPECT_EQ(read_file(spool_input(nothing, dir.path())), "one");
  EXPECT_EQ(read_file(spool_input(second, dir.path())), std::string(200'000, 'x'));
}

}  // namespace
}  // namespace l2a
