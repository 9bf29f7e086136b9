// Runs that max_minutes ends.
#include <algorithm>
#include <chrono>
#include <filesystem>
#include <vector>

#include <gtest/gtest.h>

#include "base/clock.h"
#include "base/testing.h"
#include "train/sft.h"
#include "train/testing.h"

namespace l2a {
namespace {

class TimeLimit : public ::testing::Test {
 protected:
  TrainerSetup setup_with(const Clock& clock, const char* name) const {
    return {.model = tiny.model,
            .window = tiny.window(),
            .base_name = "tiny",
            .directory = directory.path / name,
            .config_sha256 = "c0ffee",
            .clock = clock};
  }
  const testing::TemporaryDirectory directory;
  const testing::TinyChat tiny;
};

TEST_F(TimeLimit, EndsARun) {
  auto adapter = testing::tiny_adapter(tiny);
  const auto result =
      train_sft(testing::tiny_setup(tiny, directory.path), testing::labelled_sessions(4), {},
                {.epochs = 1000, .loop = {.max_minutes = 1e-4}}, adapter);
  EXPECT_EQ(result.stopped_by, "max_minutes");
  EXPECT_LT(result.steps, 1000);
  EXPECT_TRUE(std::filesystem::exists(result.checkpoint));
}

// A checkpoint and what is done between two steps take time, too.
TEST_F(TimeLimit, CountsWhatIsDoneBetweenSteps) {
  struct StoppedClock : Clock {
    std::chrono::steady_clock::time_point now() const override { return time; }
    std::chrono::steady_clock::time_point time;
  } clock;
  TrainerSetup timed = setup_with(clock, "run");
  timed.events.step = [&](int64_t, int64_t, const Json&) {
    clock.time += std::chrono::seconds(10);
  };
  auto adapter = testing::tiny_adapter(tiny);
  const auto result =
      train_sft(timed, testing::labelled_sessions(4), {},
                {.epochs = 60, .sessions_per_step = 4, .loop = {.max_minutes = 1}}, adapter);
  EXPECT_EQ(result.stopped_by, "max_minutes");
  EXPECT_EQ(result.steps, 7);  // the last one's own look counts in none
}

// Each look at it takes half a second.
struct SlowClock : Clock {
  std::chrono::steady_clock::time_point now() const override {
    return time += std::chrono::milliseconds(500);
  }
  mutable std::chrono::steady_clock::time_point time;
};

TEST_F(TimeLimit, TheLearningRateComesToItsEndWithTheTime) {
  const SlowClock clock;
  const auto rates = [&](double max_minutes, const char* name) {
    const TrainerSetup timed = setup_with(clock, name);
    auto adapter = testing::tiny_adapter(tiny);
    train_sft(timed, testing::labelled_sessions(4), {},
              {.epochs = 60, .sessions_per_step = 4, .loop = {.max_minutes = max_minutes}},
              adapter);
    std::vector<double> lr;
    for (const Json& line : testing::lines_of(timed.directory / "metrics.jsonl")) {
      lr.push_back(line.at("lr"));
    }
    return lr;
  };
  const std::vector<double> whole = rates(0, "whole");
  ASSERT_EQ(whole.size(), 60u);
  EXPECT_EQ(rates(10, "enough time"), whole);
  const std::vector<double> cut = rates(1, "half the time");
  ASSERT_GT(cut.size(), 20u);
  ASSERT_LT(cut.size(), 50u);
  EXPECT_TRUE(std::equal(cut.begin(), cut.begin() + static_cast<std::ptrdiff_t>(cut.size() / 5),
                         whole.begin()));
  EXPECT_LT(cut.back(), 0.01 * whole[5]);
  EXPECT_GT(whole[cut.size() - 1], 0.2 * whole[5]);
}

}  // namespace
}  // namespace l2a
