#include "train/background_grading.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <future>
#include <string>
#include <thread>

#include <gtest/gtest.h>

#include "base/error.h"
#include "base/file.h"
#include "base/testing.h"
#include "train/grpo_testing.h"

namespace l2a {
namespace {

using testing::GrpoTest;
using testing::reward_low_bytes;

std::vector<RewardRequest> requests_of(const std::vector<std::string>& texts) {
  std::vector<RewardRequest> requests;
  for (const auto& text : texts) requests.push_back({.reply = {.text = text}});
  return requests;
}

// Longer than any grader here takes; a wait that is over by then has failed.
constexpr auto kPatience = std::chrono::seconds(60);

TEST(BackgroundGrading, GradesWhileOthersAreStillToCome) {
  std::promise<void> first_graded;
  std::atomic<int> calls = 0;
  const RewardFn reward = [&](std::span<const RewardRequest> requests) {
    if (calls++ == 0) first_graded.set_value();
    return reward_low_bytes(requests);
  };
  BackgroundGrading grading(reward);
  grading.add(7, requests_of({"a1", "22"}));
  ASSERT_EQ(first_graded.get_future().wait_for(kPatience), std::future_status::ready);
  grading.add(3, requests_of({"b"}));
  grading.add(5, requests_of({}));
  const auto results = grading.finish();
  ASSERT_EQ(results.size(), 3u);
  EXPECT_EQ(results[0].first, 7u);
  EXPECT_EQ(results[0].second.at(0).reward, 0.5);
  EXPECT_EQ(results[0].second.at(1).reward, 1);
  EXPECT_EQ(results[1].first, 3u);
  EXPECT_EQ(results[1].second.at(0).reward, 0);
  EXPECT_TRUE(results[2].second.empty());
}

TEST(BackgroundGrading, AsksOnceAboutEachAndOneBatchAtATime) {
  std::atomic<int> inside = 0, most = 0, asked = 0;
  const RewardFn reward = [&](std::span<const RewardRequest> requests) {
    most = std::max<int>(most, ++inside);
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
    asked += static_cast<int>(requests.size());
    --inside;
    return reward_low_bytes(requests);
  };
  BackgroundGrading grading(reward);
  for (size_t i = 0; i < 200; ++i) grading.add(i, requests_of({std::string(i % 7 + 1, 'a')}));
  const auto results = grading.finish();
  ASSERT_EQ(results.size(), 200u);
  for (size_t i = 0; i < results.size(); ++i) EXPECT_EQ(results[i].first, i);
  EXPECT_EQ(asked, 200);
  EXPECT_EQ(most, 1);
}

TEST(BackgroundGrading, AGraderThatGivesUpEndsIt) {
  const RewardFn reward = [](std::span<const RewardRequest>) -> std::vector<RewardResult> {
    fail(ErrorCode::kUnavailable, "no money left");
  };
  const std::string given_up = "no money left";
  {
    BackgroundGrading grading(reward);
    grading.add(0, requests_of({"a"}));
    EXPECT_EQ(failure_of([&] { grading.finish(); }), given_up);
  }
  BackgroundGrading grading(reward);
  const auto keeps_adding = [&] {
    const auto until = std::chrono::steady_clock::now() + kPatience;
    while (std::chrono::steady_clock::now() < until) grading.add(0, requests_of({"a"}));
  };
  EXPECT_EQ(failure_of(keeps_adding), given_up);
}

TEST(BackgroundGrading, WhatWaitsIsDroppedWhenNobodyWantsIt) {
  std::promise<void> begun, ends;
  const std::future<void> end = ends.get_future();
  std::atomic<int> asked = 0;
  const RewardFn reward = [&](std::span<const RewardRequest> requests) {
    if (asked == 0) begun.set_value();
    asked += static_cast<int>(requests.size());
    end.wait_for(kPatience);
    std::this_thread::sleep_for(std::chrono::seconds(1));  // what ends it needs but a moment
    return reward_low_bytes(requests);
  };
  {
    BackgroundGrading grading(reward);
    grading.add(0, requests_of({"a"}));
    ASSERT_EQ(begun.get_future().wait_for(kPatience), std::future_status::ready);
    grading.add(1, requests_of({"b", "c"}));
    ends.set_value();
  }
  EXPECT_EQ(asked, 1);
}

// What is learned, and what is written down of it, does not depend on when replies were graded.
TEST_F(GrpoTest, GradingWhileSamplingChangesNoByte) {
  const auto train = [&](bool while_sampling, const char* name) {
    setup.directory = directory.path / name;
    setup.grade_while_sampling = while_sampling;
    GrpoOptions options = small_options();
    options.replies.max_rows = 4;  // a context at a time
    options.replies.dynamic_rounds = 1;
    auto adapter = testing::tiny_adapter(tiny);
    const auto sessions = testing::labelled_sessions(6);
    train_grpo(setup, sessions, testing::labelled_sessions(2, 9), reward_low_bytes, options,
               adapter);
    return testing::flat(adapter);
  };
  EXPECT_TRUE(train(true, "meanwhile").equal(train(false, "afterwards")));
  EXPECT_EQ(read_file(directory.path / "meanwhile/rollouts.jsonl"),
            read_file(directory.path / "afterwards/rollouts.jsonl"));
}

TEST_F(GrpoTest, AGraderThatGivesUpEndsTheStepItIsAskedIn) {
  setup.grade_while_sampling = true;
  const RewardFn reward = [](std::span<const RewardRequest>) -> std::vector<RewardResult> {
    fail(ErrorCode::kUnavailable, "the key has expired");
  };
  auto adapter = testing::tiny_adapter(tiny);
  EXPECT_EQ(failure_of([&] {
              train_grpo(setup, testing::labelled_sessions(4), {}, reward, small_options(),
                         adapter);
            }),
            "the key has expired");
}

}  // namespace
}  // namespace l2a
