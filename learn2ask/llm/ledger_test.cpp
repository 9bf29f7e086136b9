#include "llm/ledger.h"

#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/file.h"
#include "base/rng.h"
#include "base/testing.h"

namespace l2a {
namespace {

using ::testing::HasSubstr;

void expect_equal(const LedgerTotals& a, const LedgerTotals& b) {
  EXPECT_EQ(a.sent, b.sent);
  EXPECT_EQ(a.replies, b.replies);
  EXPECT_EQ(a.lost, b.lost);
  EXPECT_EQ(a.prompt_tokens, b.prompt_tokens);
  EXPECT_EQ(a.completion_tokens, b.completion_tokens);
  EXPECT_NEAR(a.cost, b.cost, 1e-9);
  EXPECT_NEAR(a.seconds, b.seconds, 1e-9);
}

CallEnd reply_end(double cost) {
  return {.outcome = "reply",
          .status = 200,
          .usage = TokenUsage{.prompt = 10, .completion = 5},
          .seconds = 1.5,
          .cost = cost};
}

TEST(Ledger, CountsAReplyThatIsKeptThoughItsProcessWasKilledBeforeItSaidSo) {
  const TempDir dir;
  {
    Ledger ledger(dir / "ledger");
    for (const char* call : {"kept", "not kept"}) ledger.sent(call, 1, 0.25);
  }
  ReplyCache cache(dir / "cache.sqlite");
  std::vector<KeptReply> replies = {{"kept", {.text = "yes", .usage = TokenUsage{10, 5}}}};
  cache.put(replies);
  for (int process = 0; process < 2; ++process) {
    const LedgerTotals totals = Ledger(dir / "ledger", &cache).totals();
    EXPECT_EQ(totals.replies, 1);
    EXPECT_EQ(totals.lost, 1);
    EXPECT_EQ(totals.prompt_tokens, 10);
    EXPECT_EQ(totals.completion_tokens, 5);
    EXPECT_EQ(totals.cost, 0.5);
  }
}

// A file of three tries: one has no end, one brought a reply, one was told to wait.
void write_history(const std::filesystem::path& path) {
  Ledger ledger(path);
  ledger.sent("a", 1, 0.25);
  ledger.sent("b", 1, 0.5);
  ledger.done("b", 1, reply_end(0.125));
  ledger.sent("c", 1, 1);
  ledger.done("c", 1, {.outcome = "busy", .status = 429, .seconds = 0.5});
}

void put(const std::filesystem::path& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary) << bytes;
}

size_t count_in(const std::string& text, const std::string& part) {
  size_t count = 0;
  for (size_t found = text.find(part); found != text.npos; found = text.find(part, found + 1)) {
    ++count;
  }
  return count;
}

TEST(Ledger, AddsUpWhatItIsTold) {
  const TempDir dir;
  Ledger in_file(dir / "ledger"), in_memory;
  for (Ledger* ledger : {&in_file, &in_memory}) {
    ledger->sent("a", 1, 0.5);
    ledger->done("a", 1, {.outcome = "retry", .seconds = 2, .cost = 0.5});
    ledger->sent("a", 2, 0.5);
    ledger->done("a", 2, reply_end(0.25));
    ledger->sent("b", 1, 0.5);
    ledger->done("b", 1, {.outcome = "lost", .seconds = 3, .cost = 0.5});
    ledger->cached();
    ledger->cached();
    const LedgerTotals& totals = ledger->totals();
    EXPECT_EQ(totals.sent, 3);
    EXPECT_EQ(totals.replies, 1);
    EXPECT_EQ(totals.lost, 1);
    EXPECT_EQ(totals.cached, 2);
    EXPECT_EQ(totals.prompt_tokens, 10);
    EXPECT_EQ(totals.completion_tokens, 5);
    EXPECT_DOUBLE_EQ(totals.cost, 1.25);
    EXPECT_DOUBLE_EQ(totals.seconds, 6.5);
  }
}

TEST(Ledger, GoesOnWhereTheLastProcessEnded) {
  const TempDir dir;
  Rng rng(1);
  const std::vector<std::string> outcomes = {"reply", "busy", "retry", "refused", "pause", "lost"};
  LedgerTotals expected;
  for (int process = 0; process < 5; ++process) {
    Ledger ledger(dir / "ledger");
    expect_equal(ledger.totals(), expected);
    EXPECT_EQ(ledger.totals().cached, 0);
    for (int i = 0; i < 100; ++i) {
      const std::string call = "call-" + std::to_string(rng.below(30));
      const auto attempt = static_cast<int64_t>(1 + rng.below(6));
      CallEnd end{.outcome = rng.pick(outcomes), .seconds = rng.uniform(), .cost = rng.uniform()};
      if (end.outcome == "reply" && rng.chance(0.8)) {
        end.usage = TokenUsage{.prompt = static_cast<int64_t>(rng.below(1'000)),
                               .completion = static_cast<int64_t>(rng.below(100))};
      }
      if (rng.chance(0.5)) end.status = 200;
      ledger.sent(call, attempt, 2);
      ledger.done(call, attempt, end);
      ledger.cached();
    }
    expected = ledger.totals();
    EXPECT_EQ(expected.sent, 100 * (process + 1));
  }
}

TEST(Ledger, TakesATryWithoutAnEndForLostOnce) {
  const TempDir dir;
  write_history(dir / "ledger");
  std::string after_first;
  for (int time = 0; time < 3; ++time) {
    const Ledger ledger(dir / "ledger");
    EXPECT_EQ(ledger.totals().sent, 3);
    EXPECT_EQ(ledger.totals().replies, 1);
    EXPECT_EQ(ledger.totals().lost, 1);
    EXPECT_DOUBLE_EQ(ledger.totals().cost, 0.25 + 0.125);  // what was reserved for it
    EXPECT_DOUBLE_EQ(ledger.totals().seconds, 2);
    const std::string text = read_file(dir / "ledger");
    if (time == 0) after_first = text;
    EXPECT_EQ(text, after_first);
  }
  EXPECT_EQ(count_in(after_first, R"("lost")"), 1u);
}

TEST(Ledger, ACallThatWasLostMayBeSentAgain) {
  const TempDir dir;
  write_history(dir / "ledger");
  for (int time = 0; time < 2; ++time) {
    Ledger ledger(dir / "ledger");
    ledger.sent("a", 1, 0.25);
    if (time == 1) ledger.done("a", 1, reply_end(0.0625));
  }
  const Ledger ledger(dir / "ledger");
  EXPECT_EQ(ledger.totals().sent, 5);
  EXPECT_EQ(ledger.totals().replies, 2);
  EXPECT_EQ(ledger.totals().lost, 2);
  EXPECT_DOUBLE_EQ(ledger.totals().cost, 0.25 + 0.125 + 0.25 + 0.0625);
}

TEST(Ledger, TellsTriesOfACallApart) {
  const TempDir dir;
  {
    Ledger ledger(dir / "ledger");
    ledger.sent("a", 1, 0.25);
    ledger.sent("a", 2, 0.5);
    ledger.sent("b", 2, 1);
    ledger.done("a", 2, reply_end(0.125));
  }
  const Ledger ledger(dir / "ledger");
  EXPECT_EQ(ledger.totals().lost, 2);
  EXPECT_DOUBLE_EQ(ledger.totals().cost, 0.25 + 1 + 0.125);
}

// Cut at any byte, a file is what its whole lines say: each try in it has an end afterwards.
TEST(Ledger, OfAnyLengthIsRepaired) {
  const TempDir dir;
  write_history(dir / "whole");
  const std::string whole = read_file(dir / "whole");
  for (size_t size = 0; size <= whole.size(); ++size) {
    const std::string cut = whole.substr(0, size);
    const std::string lines = cut.substr(0, cut.rfind('\n') + 1);  // npos + 1 is 0
    const size_t sent = count_in(lines, R"("event":"sent")");
    const size_t done = count_in(lines, R"("event":"done")");
    put(dir / "ledger", cut);
    LedgerTotals first;
    {
      const Ledger ledger(dir / "ledger");
      first = ledger.totals();
    }
    ASSERT_EQ(first.sent, static_cast<int64_t>(sent)) << size;
    ASSERT_EQ(first.lost, static_cast<int64_t>(sent - done)) << size;
    const std::string repaired = read_file(dir / "ledger");
    ASSERT_EQ(repaired.substr(0, lines.size()), lines) << size;
    ASSERT_EQ(count_in(repaired, R"("event":"done")"), sent) << size;
    const Ledger ledger(dir / "ledger");
    expect_equal(ledger.totals(), first);
  }
}

TEST(Ledger, RefusesALineThatIsNoneOfALedger) {
  const TempDir dir;
  write_history(dir / "whole");
  const std::string whole = read_file(dir / "whole");  // of five lines
  for (const char* line :
       {"nonsense", "[1]", "7", "{}", R"({"a": 1})", R"({"event": "sent"})",
        R"({"event": "sent", "call": "d", "try": 1})",
        R"({"event": "sent", "call": "d", "reserved": 1})",
        R"({"event": "sent", "call": 7, "try": 1, "reserved": 1})",
        R"({"event": "sent", "call": "d", "try": "1", "reserved": 1})",
        R"({"event": "done", "call": "d", "try": 1})",
        R"({"event": "done", "call": "d", "try": 1, "seconds": 1, "cost": 1})",
        R"({"event": "done", "call": "d", "try": 1, "outcome": "reply", "seconds": 1})",
        R"({"event": "done", "call": "d", "try": 1, "outcome": "busy", "seconds": 1, "cost": "1"})",
        R"({"call": "d", "try": 1, "outcome": "reply", "seconds": 1, "cost": 1})"}) {
    const std::string bytes = whole + line + "\n";
    put(dir / "ledger", bytes);
    EXPECT_THAT(failure_of([&] { Ledger ledger(dir / "ledger"); }),
                HasSubstr((dir / "ledger").string() + ":6: "))
        << line;
    EXPECT_EQ(read_file(dir / "ledger"), bytes) << line;
  }
}

TEST(Ledger, RefusesAnEventThatIsNeither) {
  const TempDir dir;
  put(dir / "ledger",
      R"({"event": "refund", "call": "d", "try": 1, "outcome": "reply", "reserved": 1, )"
      R"("seconds": 1, "cost": -1})"
      "\n");
  EXPECT_THAT(failure_of([&] { Ledger ledger(dir / "ledger"); }),
              HasSubstr((dir / "ledger").string() + ":1: "));
}

TEST(Ledger, RefusesAFileOfAnotherKind) {
  const TempDir dir;
  const std::string labels = "{\"learn2ask\":\"labels\",\"version\":1}\n{\"no newline\":1}";
  put(dir / "labels", labels);
  EXPECT_THAT(failure_of([&] { Ledger ledger(dir / "labels"); }),
              HasSubstr((dir / "labels").string() + ": is another file"));
  EXPECT_EQ(read_file(dir / "labels"), labels);
  EXPECT_THAT(failure_of([&] { Ledger ledger(dir.path()); }), HasSubstr(dir.path().string()));
}

TEST(LedgerTotals, AreSaidInOneLine) {
  LedgerTotals totals;
  EXPECT_EQ(to_text(totals), "0 calls, 0 + 0 tokens, cost 0.0000");
  totals.sent = 412;
  totals.replies = 400;
  totals.prompt_tokens = 81'234;
  totals.completion_tokens = 4'321;
  totals.cost = 1.2345;
  EXPECT_EQ(to_text(totals), "412 calls, 81234 + 4321 tokens, cost 1.2345");
  totals.lost = 3;
  EXPECT_EQ(to_text(totals), "412 calls (3 of them lost), 81234 + 4321 tokens, cost 1.2345");
  totals.cached = 20;
  EXPECT_EQ(to_text(totals),
            "412 calls (3 of them lost, 20 more from the cache), 81234 + 4321 tokens, cost 1.2345");
  totals.lost = 0;
  EXPECT_EQ(to_text(totals),
            "412 calls (20 more from the cache), 81234 + 4321 tokens, cost 1.2345");
}

TEST(Ledger, IsForOneProcessAtATime) {
  const TempDir dir;
  Ledger one(dir / "ledger");
  one.sent("call", 1, 2);
  EXPECT_THAT(failure_of([&] { Ledger other(dir / "ledger"); }),
              HasSubstr("another process is writing to it"));
}

}  // namespace
}  // namespace l2a
