#include "llm/reply_cache.h"

#include <chrono>
#include <csignal>
#include <cstdio>
#include <fstream>
#include <set>
#include <thread>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "base/rng.h"
#include "base/testing.h"

namespace l2a {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

ChatReply reply_of(const std::string& text) {
  return {.text = text, .usage = TokenUsage{.prompt = 3, .completion = 4}};
}

// Stores one answer; gives the one that is kept.
ChatReply put(ReplyCache& cache, const std::string& key, const ChatReply& reply) {
  KeptReply kept{key, reply};
  cache.put(std::span(&kept, 1));
  return kept.reply;
}

// The text that is kept; "(none)" for none.
std::string text_of(ReplyCache& cache, const std::string& key) {
  const auto found = cache.find(key);
  return found ? found->text : "(none)";
}

mode_t mode_of(const fs::path& path) {
  struct stat info{};
  check(::stat(path.c_str(), &info) == 0, "stat");
  return info.st_mode & 0777;
}

void execute(const fs::path& path, const char* sql) {
  sqlite3* database = nullptr;
  check(sqlite3_open(path.c_str(), &database) == SQLITE_OK, "sqlite3_open");
  check(sqlite3_exec(database, sql, nullptr, nullptr, nullptr) == SQLITE_OK, "sqlite3_exec");
  sqlite3_close(database);
}

// Starts `work` in a child process, which exits with 0, or with 3 after a Failure.
template <class Work>
pid_t start_child(Work&& work) {
  const pid_t child = fork();
  if (child != 0) return child;
  try {
    work();
  } catch (const Failure& failure) {
    std::fprintf(stderr, "child: %s\n", failure.what());
    _exit(3);
  }
  _exit(0);
}

// The exit code; 128 + signal for a child that was killed.
int exit_code_of(pid_t child) {
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

TEST(ReplyCache, KeepsAnswersAfterItIsClosed) {
  const TempDir dir;
  ChatReply cut = reply_of("so f");
  cut.truncated = true;
  {
    ReplyCache cache(dir / "cache");
    EXPECT_FALSE(cache.find("a"));
    put(cache, "a", reply_of("one"));
    put(cache, "b", cut);
    EXPECT_EQ(text_of(cache, "a"), "one");
  }
  ReplyCache cache(dir / "cache");
  const auto whole = cache.find("a");
  ASSERT_TRUE(whole);
  EXPECT_EQ(whole->text, "one");
  EXPECT_FALSE(whole->truncated);
  ASSERT_TRUE(whole->usage);
  EXPECT_EQ(whole->usage->prompt, 3);
  EXPECT_EQ(whole->usage->completion, 4);
  const auto found = cache.find("b");
  ASSERT_TRUE(found);
  EXPECT_EQ(found->text, "so f");
  EXPECT_TRUE(found->truncated);
  EXPECT_FALSE(cache.find("c"));
  EXPECT_FALSE(cache.find("A"));
  EXPECT_FALSE(cache.find(""));
}

TEST(ReplyCache, KeepsUnknownUsageUnknown) {
  const TempDir dir;
  {
    ReplyCache cache(dir / "cache");
    put(cache, "unknown", {.text = "x", .usage = std::nullopt});
    put(cache, "zero", {.text = "x", .usage = TokenUsage{}});
  }
  ReplyCache cache(dir / "cache");
  ASSERT_TRUE(cache.find("unknown"));
  EXPECT_FALSE(cache.find("unknown")->usage);
  ASSERT_TRUE(cache.find("zero"));
  ASSERT_TRUE(cache.find("zero")->usage);
  EXPECT_EQ(cache.find("zero")->usage->prompt, 0);
}

TEST(ReplyCache, KeepsTextsAsTheyAre) {
  const TempDir dir;
  const std::vector<std::string> texts = {"",
                                          " ",
                                          "'quoted' \"twice\"; DROP TABLE replies; --",
                                          "two\nlines\r\n\t\x01",
                                          "\u4f60\u597d e\u0301 \u00e9 \U0001F600 \uFEFF",
                                          "7",
                                          "NULL",
                                          "0x41",
                                          std::string(1 << 20, 'x') + "\u4f60"};
  {
    ReplyCache cache(dir / "cache");
    for (size_t i = 0; i < texts.size(); ++i) put(cache, std::to_string(i), reply_of(texts[i]));
  }
  ReplyCache cache(dir / "cache");
  for (size_t i = 0; i < texts.size(); ++i) {
    EXPECT_EQ(text_of(cache, std::to_string(i)), texts[i]) << i;
  }
}

TEST(ReplyCache, TheFirstAnswerStaysAndTakesThePlaceOfOthers) {
  const TempDir dir;
  ReplyCache cache(dir / "cache");
  put(cache, "a", {.text = "first", .truncated = true});
  std::vector<KeptReply> later = {{"b", reply_of("new")},
                                  {"a", reply_of("second")},
                                  {"c", reply_of("one")},
                                  {"c", reply_of("another")}};
  cache.put(later);
  EXPECT_EQ(later[0].reply.text, "new");
  EXPECT_EQ(later[1].reply.text, "first");
  EXPECT_TRUE(later[1].reply.truncated);
  EXPECT_FALSE(later[1].reply.usage);
  EXPECT_EQ(later[2].reply.text, "one");
  EXPECT_EQ(later[3].reply.text, "one");
  EXPECT_EQ(later[3].key, "c");
  EXPECT_EQ(text_of(cache, "a"), "first");
  EXPECT_EQ(text_of(cache, "b"), "new");
  EXPECT_EQ(text_of(cache, "c"), "one");
  cache.put({});
}

TEST(ReplyCache, TwoOnOneFileSeeWhatTheOtherStores) {
  const TempDir dir;
  ReplyCache one(dir / "cache"), two(dir / "cache");
  put(one, "a", reply_of("of one"));
  EXPECT_EQ(text_of(two, "a"), "of one");
  put(two, "b", reply_of("of two"));
  EXPECT_EQ(text_of(one, "b"), "of two");
  EXPECT_EQ(put(two, "a", reply_of("of two")).text, "of one");
}

TEST(ReplyCache, OfProcessesThatWriteTogetherHasOneAnswerACall) {
  constexpr int kCalls = 200;
  const TempDir dir;
  {
    const ReplyCache made(dir / "cache");
  }
  std::vector<pid_t> children;
  for (const int child : {0, 1}) {
    children.push_back(start_child([&] {
      ReplyCache cache(dir / "cache");
      std::vector<std::string> seen(kCalls);
      for (int i = 0; i < kCalls; ++i) {
        const int call = child == 0 ? i : (i + kCalls / 2) % kCalls;
        const std::string key = "call " + std::to_string(call);
        seen[static_cast<size_t>(call)] =
            put(cache, key, reply_of(key + " by " + std::to_string(child))).text;
      }
      std::ofstream out(dir / ("seen-" + std::to_string(child)));
      for (const std::string& text : seen) out << text << "\n";
    }));
  }
  for (const pid_t child : children) EXPECT_EQ(exit_code_of(child), 0);
  ReplyCache cache(dir / "cache");
  std::string kept;
  for (int call = 0; call < kCalls; ++call) {
    const std::string key = "call " + std::to_string(call);
    const std::string text = text_of(cache, key);
    EXPECT_TRUE(text == key + " by 0" || text == key + " by 1") << text;
    kept += text + "\n";
  }
  EXPECT_EQ(read_file(dir / "seen-0"), kept);
  EXPECT_EQ(read_file(dir / "seen-1"), kept);
}

// Several commands are started at once on a machine that has no cache yet.
TEST(ReplyCache, MayBeMadeByManyProcessesAtOnce) {
  for (int round = 0; round < 20; ++round) {
    const TempDir dir;
    int barrier[2];
    ASSERT_EQ(::pipe(barrier), 0);
    std::vector<pid_t> children;
    for (int child = 0; child < 4; ++child) {
      children.push_back(start_child([&] {
        ::close(barrier[1]);
        char none = 0;
        check(::read(barrier[0], &none, 1) == 0, "barrier");  // until the parent closes its end
        ReplyCache cache(dir / "new/cache");
        const std::string key = std::to_string(child);
        put(cache, key, reply_of(key));
      }));
    }
    ::close(barrier[0]);
    ::close(barrier[1]);
    int failed = 0;
    for (const pid_t child : children) failed += exit_code_of(child) != 0;
    ASSERT_EQ(failed, 0) << round;
    ReplyCache cache(dir / "new/cache");
    for (const char* key : {"0", "1", "2", "3"}) ASSERT_EQ(text_of(cache, key), key) << round;
  }
}

TEST(ReplyCache, KeepsWhatWasStoredBeforeAKill) {
  const TempDir dir;
  Rng rng(1);
  uint64_t next = 0;
  for (int round = 0; round < 10; ++round) {
    int stored[2];
    ASSERT_EQ(::pipe(stored), 0);
    const pid_t child = start_child([&] {
      ReplyCache cache(dir / "cache");
      for (uint64_t call = next;; ++call) {
        put(cache, std::to_string(call), reply_of("answer " + std::to_string(call)));
        const ssize_t written = ::write(stored[1], &call, sizeof call);
        check(written == static_cast<ssize_t>(sizeof call), "write");
      }
    });
    ::close(stored[1]);
    uint64_t call = 0;
    ASSERT_EQ(::read(stored[0], &call, sizeof call), static_cast<ssize_t>(sizeof call));
    next = call + 1;
    std::this_thread::sleep_for(std::chrono::microseconds(rng.below(5000)));
    ::kill(child, SIGKILL);
    EXPECT_EQ(exit_code_of(child), 128 + SIGKILL);
    while (::read(stored[0], &call, sizeof call) == static_cast<ssize_t>(sizeof call)) {
      next = call + 1;
    }
    ::close(stored[0]);
    ReplyCache cache(dir / "cache");
    for (uint64_t i = 0; i < next; ++i) {
      ASSERT_EQ(text_of(cache, std::to_string(i)), "answer " + std::to_string(i)) << round;
    }
  }
}

TEST(ReplyCache, IsForItsOwnerOnly) {
  const TempDir dir;
  const mode_t before = ::umask(022);
  {
    ReplyCache cache(dir / "a/b/cache");
    put(cache, "a", reply_of("one"));
    // Also what SQLite puts beside it.
    for (const auto& file : fs::directory_iterator(dir / "a/b")) {
      EXPECT_EQ(mode_of(file.path()), 0600u) << file.path();
    }
  }
  ::umask(before);
  EXPECT_EQ(mode_of(dir / "a/b/cache"), 0600u);
  EXPECT_EQ(mode_of(dir / "a/b"), 0700u);
}

TEST(ReplyCache, RefusesAFileThatIsSomethingElse) {
  const TempDir dir;
  std::string notes;
  while (notes.size() < 10'000) notes += "my notes ";
  for (const std::string& bytes : {notes, std::string("short")}) {
    std::ofstream(dir / "notes", std::ios::binary) << bytes;
    EXPECT_THAT(failure_of([&] { ReplyCache cache(dir / "notes"); }),
                HasSubstr((dir / "notes").string()));
    EXPECT_EQ(read_file(dir / "notes"), bytes);
  }
  EXPECT_THAT(failure_of([&] { ReplyCache cache(dir.path()); }), HasSubstr(dir.path().string()));
}

TEST(ReplyCache, RefusesAFileOfANewerVersion) {
  const TempDir dir;
  {
    ReplyCache cache(dir / "cache");
    put(cache, "a", reply_of("one"));
  }
  execute(dir / "cache", "PRAGMA user_version = 1000");
  const std::string why = failure_of([&] { ReplyCache cache(dir / "cache"); });
  EXPECT_THAT(why, HasSubstr((dir / "cache").string()));
  EXPECT_THAT(why, HasSubstr("newer version"));
}

TEST(ReplyCache, SaysThatItCannotBeMade) {
  const TempDir dir;
  std::ofstream(dir / "file") << "x";
  EXPECT_THAT(failure_of([&] { ReplyCache cache(dir / "file/cache"); }),
              HasSubstr((dir / "file").string()));
}

TEST(CallKey, IsTheSameOnlyForTheSameCall) {
  const std::string url = "http://judge/v1", body = R"({"model":"m"})";
  const std::string key = call_key(url, body, 0);
  EXPECT_EQ(key, call_key(url, body, 0));
  EXPECT_EQ(key.size(), 64u);
  EXPECT_EQ(key.find_first_not_of("0123456789abcdef"), key.npos);
  EXPECT_NE(key, call_key("http://judge/v2", body, 0));
  EXPECT_NE(key, call_key(url, R"({"model":"n"})", 0));
  EXPECT_NE(key, call_key(url, body, 1));
}

TEST(CallKey, TellsApartWhatReadsTheSameInARow) {
  const std::string all = "http://judge/v1{\"seed\":12}";
  std::set<std::string> keys;
  for (size_t cut = 0; cut <= all.size(); ++cut) {
    keys.insert(call_key(all.substr(0, cut), all.substr(cut), 0));
  }
  EXPECT_EQ(keys.size(), all.size() + 1);
  keys = {call_key("u", "123", 4),  call_key("u", "23", 41),  call_key("u", "3", 412),
          call_key("u1", "23", 4),  call_key("u4", "123", 0), call_key("u", "4123", 0),
          call_key("u41", "23", 0), call_key("u4", "23", 1)};
  EXPECT_EQ(keys.size(), 8u);
}

}  // namespace
}  // namespace l2a
