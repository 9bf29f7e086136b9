#include "base/progress.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <unistd.h>

#include "base/testing.h"

namespace l2a {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

// Standard error as a terminal for as long as the object lives.
class Terminal {
 public:
  Terminal() : saved_(dup(STDERR_FILENO)), screen_(posix_openpt(O_RDWR | O_NOCTTY)) {
    grantpt(screen_);
    unlockpt(screen_);
    const int terminal = open(ptsname(screen_), O_RDWR | O_NOCTTY);
    dup2(terminal, STDERR_FILENO);
    close(terminal);
  }
  ~Terminal() {
    dup2(saved_, STDERR_FILENO);
    close(saved_);
    close(screen_);
  }
  // What was written since the last call, once it is `length` bytes; less of it if nothing more
  // comes for a while. The kernel may hand over one write in several parts.
  std::string shown(size_t length) const {
    constexpr int kPatienceMs = 2000;
    std::string text;
    pollfd ready = {screen_, POLLIN, 0};
    while (text.size() < length && poll(&ready, 1, kPatienceMs) > 0) {
      char bytes[4096];
      const ssize_t got = read(screen_, bytes, sizeof bytes);
      text.append(bytes, static_cast<size_t>(std::max<ssize_t>(got, 0)));
    }
    return text;
  }

 private:
  int saved_, screen_;
};

TEST(FormatDuration, TakesTheUnitThatFits) {
  const struct {
    double seconds;
    const char* text;
  } cases[] = {{0, "0.0 s"},          {0.84, "0.8 s"},      {59.94, "59.9 s"},
               {59.96, "1 min 00 s"}, {245, "4 min 05 s"},  {3599.4, "59 min 59 s"},
               {3600, "1 h 00 min"},  {7379, "2 h 03 min"}, {360000, "100 h 00 min"}};
  for (const auto& c : cases) {
    EXPECT_EQ(format_duration(std::chrono::duration<double>(c.seconds)), c.text);
  }
}

TEST(UtcTimestamp, HasTheFormOfRfc3339) {
  const std::string now = utc_timestamp();
  ASSERT_EQ(now.size(), 20u);
  EXPECT_EQ(now.substr(0, 2), "20");
  EXPECT_EQ(now[10], 'T');
  EXPECT_EQ(now.back(), 'Z');
}

TEST(Progress, OutsideATerminalItPrintsALineEveryFewSeconds) {
  FakeClock clock;
  testing::internal::CaptureStderr();
  {
    Progress progress("label", 100, "sessions", clock);
    for (int i = 0; i < 60; ++i) {
      clock.pass(milliseconds(100));
      progress.advance();
      progress.note("reward 2.31");
    }
    progress.finish();
  }
  EXPECT_EQ(testing::internal::GetCapturedStderr(),
            "label: 50/100 sessions, 10/s, 5.0 s left, reward 2.31\n"
            "label: 60 sessions in 6.0 s, 10/s, reward 2.31\n");
}

TEST(Progress, WhatAnEarlierCallDidCountsButNotInTheRate) {
  FakeClock clock;
  testing::internal::CaptureStderr();
  {
    Progress progress("train", 100, "steps", clock);
    progress.skip(90);
    clock.pass(seconds(10));
    progress.advance(2);
    progress.finish();
  }
  EXPECT_EQ(testing::internal::GetCapturedStderr(),
            "train: 92/100 steps, 0.20/s, 40.0 s left\n"
            "train: 92 steps in 10.0 s, 0.20/s\n");
}

TEST(Progress, WithoutATotalItTellsNoRemainingTime) {
  FakeClock clock;
  testing::internal::CaptureStderr();
  {
    Progress progress("import", std::nullopt, "sessions", clock);
    clock.pass(seconds(10));
    progress.advance(25);
  }
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "import: 25 sessions, 2.50/s\n");
}

TEST(Progress, OnATerminalItDrawsABarAndErasesIt) {
  FakeClock clock;
  const Terminal terminal;
  {
    Progress progress("train", 4, "steps", clock);
    clock.pass(milliseconds(50));
    progress.advance();  // too soon to draw again
    clock.pass(milliseconds(1950));
    progress.advance();
    const std::string bar =
        "\r\x1b[Ktrain: [============            ] 2/4 steps, 1.00/s, 2.0 s left";
    EXPECT_EQ(terminal.shown(bar.size()), bar);
  }
  const std::string erased = "\r\x1b[K";
  EXPECT_EQ(terminal.shown(erased.size()), erased);
}

}  // namespace
}  // namespace l2a
