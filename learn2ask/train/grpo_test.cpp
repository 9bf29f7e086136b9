#include "train/grpo.h"

#include <cmath>
#include <functional>
#include <limits>

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <torch/types.h>

#include "base/error.h"
#include "base/jsonl.h"
#include "base/testing.h"
#include "train/grpo_testing.h"
#include "train/reply_group.h"

namespace l2a {
namespace {

using testing::lines_of;
using testing::reward_low_bytes;

using GrpoTest = testing::GrpoTest;

TEST_F(GrpoTest, MeanRewardRisesClearly) {
  for (const uint64_t seed : {1, 2}) {
    setup.directory = directory.path / std::to_string(seed);
    auto adapter = testing::tiny_adapter(tiny, seed);
    GrpoOptions options = small_options();
    options.steps = 60;
    options.replies.group_size = 8;
    options.optimizer.lr = 0.03;
    options.loop.seed = seed;
    train_grpo(setup, testing::labelled_sessions(4), {}, reward_low_bytes, options, adapter);
    EXPECT_LT(mean_reward_of_five(0), 0.3);
    EXPECT_GT(mean_reward_of_five(55), 2 * mean_reward_of_five(0));
  }
}

TEST_F(GrpoTest, SampleWeightsMultiplyAdvantagesNotRewards) {
  const auto adapter = testing::tiny_adapter(tiny);
  const auto sessions = testing::labelled_sessions(2);  // the groups point into them
  const auto groups = graded_groups(setup, sessions, adapter, small_options());
  GrpoOptions options = small_options();
  options.weights = {.on_stop = 3, .on_continue = 0.5};
  auto weighted = groups;
  set_advantages(weighted, options);
  size_t stops = 0;
  for (size_t i = 0; i < groups.size(); ++i) {
    const bool stop = groups[i].sample->decision->value == Decision::kStop;
    stops += stop;
    for (size_t g = 0; g < 4; ++g) {
      EXPECT_DOUBLE_EQ(weighted[i].advantages[g], (stop ? 3 : 0.5) * groups[i].advantages[g]);
      EXPECT_EQ(*weighted[i].results[g].reward, *groups[i].results[g].reward);
    }
  }
  EXPECT_EQ(stops, 2u);
}

TEST_F(GrpoTest, UnlabelledAndEmptyTargetsAreLeftOut) {
  auto session = testing::labelled_session("s", {"a", "b?", "c", "d?", "e", "f?", "g", "h"});
  session.samples[0].wanted.reset();    // unlabelled
  session.samples[1].wanted.emplace();  // nothing left to ask, though the expert went on
  const SessionPointers sessions = {&session};
  EXPECT_EQ(make_groups(sessions, setup, {}).size(), 2u);
  EXPECT_EQ(make_groups(sessions, setup, {.empty_targets = true}).size(), 3u);
}

// Weights that a step of a huge learning rate left: found by the held-out replies, and without
// those by the replies of the next step.
TEST_F(GrpoTest, RepliesOfBrokenWeightsNameTheStepAndKeepTheWeights) {
  const auto sessions = testing::labelled_sessions(4);
  const auto train = [&](const char* name, std::span<const LabelledSession> held_out) {
    setup.directory = directory.path / name;
    auto adapter = testing::tiny_adapter(tiny);
    GrpoOptions options = small_options();
    options.optimizer.lr = 1e30;
    options.loop.evaluate_every = 1;
    train_grpo(setup, sessions, held_out, reward_low_bytes, options, adapter);
  };
  const auto expect_stop = [](const std::string& message, const std::string& step) {
    EXPECT_TRUE(message.starts_with("train: step " + step +
                                    ": logits of a reply: not finite: the run is stopped; "))
        << message;
  };
  expect_stop(failure_of([&] { train("held-out", sessions); }), "1");
  expect_stop(failure_of([&] { train("sampled", {}); }), "2");
  for (const char* evidence : {"held-out/evidence/step-1", "sampled/evidence/step-2"}) {
    EXPECT_TRUE(std::filesystem::exists(directory.path / evidence / "adapter_model.safetensors"));
  }
}

TEST_F(GrpoTest, EachStepIsLoggedInFull) {
  auto adapter = testing::tiny_adapter(tiny);
  GrpoOptions options = small_options();
  options.loss.kl_weight = 0.1;
  size_t call = 0;
  const auto reward = [&](std::span<const RewardRequest> requests) {
    auto results = reward_low_bytes(requests);
    if (call++ == 0) results[3] = {.reward = std::nullopt, .note = "grader timed out"};
    return results;
  };
  train_grpo(setup, testing::labelled_sessions(4), {}, reward, options, adapter);
  const auto metrics = lines_of(directory.path / "metrics.jsonl");
  const auto rollouts = lines_of(directory.path / "rollouts.jsonl");
  const auto failures = lines_of(directory.path / "failures.jsonl");
  ASSERT_EQ(metrics.size(), 2u);
  EXPECT_EQ(metrics[0]["unscored"], 1);
  EXPECT_EQ(rollouts.size() + 1,
            metrics[0]["replies"].get<size_t>() + metrics[1]["replies"].get<size_t>());
  ASSERT_EQ(failures.size(), 1u);
  EXPECT_EQ(failures[0]["reason"], "grader timed out");
  double sum = 0, count = 0;
  for (const auto& row : rollouts) {
    if (row["step"] == 1) sum += row["reward"].get<double>(), ++count;
  }
  EXPECT_DOUBLE_EQ(metrics[0]["reward"].get<double>(), sum / count);
  for (const char* key : {"loss", "kl", "entropy", "zero_variance_groups", "reply_tokens",
                          "malformed", "stops", "grad_norm", "lr", "sampler_gap", "tokens"}) {
    EXPECT_TRUE(metrics[1].at(key).is_number()) << key;
  }
  EXPECT_EQ(metrics[0]["kl"].get<double>(), 0);  // the start model is the reference
  EXPECT_GT(metrics[1]["kl"].get<double>(), 0);
  for (const char* key : {"seconds", "sample", "grade", "update", "peak_memory_mib"}) {
    EXPECT_TRUE(metrics[1]["time"].at(key).is_number()) << key;
  }
}

TEST_F(GrpoTest, PausesWhenTheGraderIsDown) {
  auto adapter = testing::tiny_adapter(tiny);
  const auto down = [](std::span<const RewardRequest> requests) {
    return std::vector<RewardResult>(requests.size(),
                                     {.reward = std::nullopt, .note = "connection refused"});
  };
  const auto before = testing::flat(adapter).clone();
  try {
    train_grpo(setup, {{testing::labelled_session("s", {"a", "b?", "c", "d?", "e", "f"})}}, {},
               down, small_options(), adapter);
    FAIL();
  } catch (const Failure& failure) {
    EXPECT_EQ(failure.error.code, ErrorCode::kUnavailable);
    EXPECT_EQ(failure.error.message,
              "train: grader: 11 of the last 11 replies that it was to grade could not be graded, "
              "last: connection "
              "refused (the run is paused: mend the grader and run the same command again; "
              "failures.jsonl lists them)");
  }
  EXPECT_TRUE(testing::flat(adapter).equal(before));
  EXPECT_EQ(lines_of(directory.path / "failures.jsonl").size(), 12u);
}

TEST_F(GrpoTest, AHeldOutScoreIsThatOfNearlyAllReplies) {
  const auto sessions = testing::labelled_sessions(4), held_out = testing::labelled_sessions(3, 2);
  GrpoOptions options = small_options();
  options.loop.evaluate_every = 2;
  const auto train = [&](size_t left_out, double rate) {
    setup.directory = directory.path / fmt::format("{}-{}", left_out, rate);
    options.replies.max_failure_rate = rate;
    size_t call = 0;
    const auto reward = [&](std::span<const RewardRequest> requests) {
      auto results = reward_low_bytes(requests);
      const bool evaluates = ++call == 3;
      for (size_t i = 0; evaluates && i < results.size(); ++i) {
        results[i].reward = 2;
        if (i < left_out) results[i] = {.reward = std::nullopt, .note = "timed out"};
      }
      return results;
    };
    auto adapter = testing::tiny_adapter(tiny);
    return train_grpo(setup, sessions, held_out, reward, options, adapter);
  };
  EXPECT_EQ(train(1, 0.5).held_out_score, 2);
  EXPECT_EQ(lines_of(setup.directory / "metrics.jsonl").back()["held_out_unscored"], 1);
  size_t replies = 0;
  for (const auto& session : held_out) replies += session.samples.size();
  try {
    train(2, 0.05);
    FAIL();
  } catch (const Failure& failure) {
    EXPECT_EQ(failure.error.code, ErrorCode::kUnavailable);
    EXPECT_EQ(failure.error.message,
              fmt::format("train: grader: 2 of {} held-out replies could not be graded, last: "
                          "timed out (the run is paused: mend the grader and run the same command "
                          "again)",
                          replies));
  }
  EXPECT_EQ(lines_of(setup.directory / "metrics.jsonl").size(), 1u);
}

TEST_F(GrpoTest, RewardsThatAreNoNumbersAreUnscored) {
  const double nan = std::nan(""), infinite = std::numeric_limits<double>::infinity();
  size_t call = 0;
  const auto broken = [&](std::span<const RewardRequest> requests) {
    auto results = reward_low_bytes(requests);
    if (call++ == 0) {
      results[0].reward = nan;
      results[1].reward = -infinite;
      results[2].micro = nan;
    }
    return results;
  };
  const auto missing = [&](std::span<const RewardRequest> requests) {
    auto results = reward_low_bytes(requests);
    if (call++ == 0) {
      for (size_t i = 0; i < 3; ++i) results[i] = {.reward = std::nullopt, .note = "none"};
    }
    return results;
  };
  const auto train = [&](const RewardFn& reward, const char* name) {
    call = 0;
    setup.directory = directory.path / name;
    auto adapter = testing::tiny_adapter(tiny);
    train_grpo(setup, testing::labelled_sessions(4), {}, reward, small_options(), adapter);
    return testing::flat(adapter);
  };
  EXPECT_TRUE(train(broken, "broken").equal(train(missing, "missing")));
  const auto failures = lines_of(directory.path / "broken/failures.jsonl");
  ASSERT_EQ(failures.size(), 3u);
  EXPECT_EQ(failures[0]["reason"], "the reward is not a finite number");
}

TEST(WatchFailures, CountsTheLast200Replies) {
  std::string recent(300, '0');
  ReplyGroup group;
  group.replies.resize(1);
  group.results = {{.reward = std::nullopt, .note = "x"}};
  for (int i = 0; i < 10; ++i) watch_failures({group}, 0.05, recent);
  EXPECT_EQ(recent.size(), 200u);
  EXPECT_THROW(watch_failures({group}, 0.05, recent), Failure);
  group.results[0].reward = 0;
  for (int i = 0; i < 200; ++i) watch_failures({group}, 0.06, recent);
  EXPECT_EQ(recent, std::string(200, '0'));
}

// Nine replies of ten are settled by rule: half of the others' failures are half, not a twentieth.
TEST(WatchFailures, CountsOnlyRepliesThatNeedAGrader) {
  ReplyGroup group;
  group.replies.resize(10);
  group.results.assign(10, {.reward = 1, .by_rule = true});
  group.results[0].by_rule = false;
  std::string recent;
  const auto see = [&](bool is_scored) {
    group.results[0].reward = is_scored ? std::optional<double>(1) : std::nullopt;
    watch_failures({group}, 0.05, recent);
  };
  for (int i = 0; i < 10; ++i) {
    see(false);
    see(true);
  }
  EXPECT_EQ(recent, "10101010101010101010");
  EXPECT_THROW(see(false), Failure);
}

// 400 replies of one group, of which these could not be graded.
std::vector<ReplyGroup> one_long_step(const std::function<bool(size_t)>& is_unscored) {
  ReplyGroup group;
  group.replies.resize(400);
  for (size_t g = 0; g < 400; ++g) {
    group.results.push_back({.reward = 1, .note = "x"});
    if (is_unscored(g)) group.results.back().reward.reset();
  }
  return {group};
}

TEST(WatchFailures, LooksAtEveryWindowOfALongStep) {
  std::string recent;
  watch_failures(one_long_step([](size_t g) { return g % 20 == 0; }), 0.05, recent);
  for (const size_t first : {size_t{0}, size_t{100}, size_t{189}, size_t{389}}) {
    recent.clear();
    const auto bad = one_long_step([&](size_t g) { return g >= first && g < first + 11; });
    EXPECT_THROW(watch_failures(bad, 0.05, recent), Failure) << first;
  }
}

TEST(MeanReward, IsNoneWhereTheGraderFailedTooOftenOnWhatItHadToGrade) {
  auto groups = one_long_step([](size_t g) { return g < 6; });
  EXPECT_EQ(mean_reward(groups, 0.05).unscored, 6u);  // of 400
  for (size_t g = 100; g < 400; ++g) groups[0].results[g].by_rule = true;
  EXPECT_THROW(mean_reward(groups, 0.05), Failure);  // of 100
  EXPECT_EQ(mean_reward(groups, 0.06).unscored, 6u);
}

TEST_F(GrpoTest, NamesASessionThatTheModelCannotHoldBeforeAnythingIsDone) {
  auto sessions = testing::labelled_sessions(4);
  sessions[2] = testing::labelled_session("long", {"a", "b?", std::string(600, 'x'), "d"});
  auto adapter = testing::tiny_adapter(tiny);
  try {
    train_grpo(setup, sessions, {}, reward_low_bytes, small_options(), adapter);
    FAIL();
  } catch (const Failure& failure) {
    const std::string& said = failure.error.message;
    EXPECT_TRUE(said.starts_with("train: long/3: 6")) << said;
    EXPECT_TRUE(said.ends_with(
        " tokens and a reply of 5 exceed the model's 512 positions (leave the session out, or set "
        "policy.cut_oldest_turns=true)"))
        << said;
  }
  EXPECT_FALSE(std::filesystem::exists(directory.path / "checkpoints"));
}

TEST_F(GrpoTest, CutsTheOldestTurnsWhenAskedToAndSaysSo) {
  const std::string words(130, 'x');
  const std::vector<LabelledSession> sessions = {
      testing::labelled_session("long", {words, "b?", words, "d?", words, "f?", words, "h"})};
  std::string noted;
  setup.window = tiny.window(true);
  setup.events.note = [&](const std::string& note) { noted += note + "\n"; };
  auto options = small_options();
  options.steps = 1;
  auto adapter = testing::tiny_adapter(tiny);
  train_grpo(setup, sessions, {}, reward_low_bytes, options, adapter);
  EXPECT_EQ(noted, "training contexts without their oldest turns, more than the model holds: 1\n");
  size_t marked = 0;
  JsonlReader rollouts(directory.path / "rollouts.jsonl");
  while (auto line = rollouts.next()) {
    const Json row = std::move(*line).value_or_throw().value;
    EXPECT_EQ(row.contains("turns_cut"), row.at("context") == "long/7");
    marked += row.contains("turns_cut");
  }
  EXPECT_EQ(marked, static_cast<size_t>(options.replies.group_size));
}

TEST_F(GrpoTest, SaysHowManyExpertsAreTooLongToBeImitated) {
  std::string noted;
  setup.events.note = [&](const std::string& note) { noted += note + "\n"; };
  auto options = small_options();
  options.steps = 1;
  options.sft_weight = 0.1;
  auto adapter = testing::tiny_adapter(tiny);
  // The stop's is as long: a token a byte.
  const std::vector<LabelledSession> sessions = {
      testing::labelled_session("s", {"a", "b?", "c", "a longer one?", "e", "f"})};
  train_grpo(setup, sessions, {}, reward_low_bytes, options, adapter);
  EXPECT_EQ(noted, "expert's replies of more than max_reply_tokens=5, which are left out: 2\n");
}

TEST_F(GrpoTest, RefusesHeldOutSessionsWithoutAScore) {
  auto adapter = testing::tiny_adapter(tiny);
  auto none_labelled = testing::labelled_sessions(1);
  none_labelled[0].samples.clear();
  EXPECT_EQ(
      failure_of([&] {
        train_grpo(setup, testing::labelled_sessions(1), none_labelled, reward_low_bytes,
                   small_options(), adapter);
      }),
      "train: --dev: no sample is trained on, so nothing gives a score (give others, or none)");
}

TEST_F(GrpoTest, RefusesTheKlInRewardsThatAreDividedByTheirDeviation) {
  GrpoOptions options = small_options();
  options.loss.kl_weight = 0.001;
  options.loss.kl_in = "reward";
  for (const char* advantage : {"std", "parts"}) {
    options.advantage = advantage;
    auto adapter = testing::tiny_adapter(tiny);
    EXPECT_THROW(
        train_grpo(setup, testing::labelled_sessions(2), {}, reward_low_bytes, options, adapter),
        Failure);
    EXPECT_FALSE(std::filesystem::exists(setup.directory / "metrics.jsonl"));
  }
}

TEST_F(GrpoTest, KeepsTheCheckpointWithTheBestHeldOutReward) {
  auto adapter = testing::tiny_adapter(tiny);
  GrpoOptions options = small_options();
  options.steps = 6;
  options.loop.evaluate_every = 2;
  size_t call = 0;  // two steps, an evaluation, and so on; every evaluation is worse
  const auto worse_and_worse = [&](std::span<const RewardRequest> requests) {
    auto results = reward_low_bytes(requests);
    if (++call % 3 == 0) {
      for (auto& result : results) result.reward = 4 - static_cast<double>(call) / 3;
    }
    return results;
  };
  const auto result =
      train_grpo(setup, testing::labelled_sessions(4, 1), testing::labelled_sessions(2, 2),
                 worse_and_worse, options, adapter);
  EXPECT_EQ(call, 9u);
  EXPECT_EQ(result.held_out_score, 3);
  EXPECT_EQ(result.checkpoint.filename(), "step-2");
  const auto saved = LoraAdapter::load(result.checkpoint, tiny.config());
  EXPECT_TRUE(testing::flat(saved).equal(testing::flat(adapter)));
}

}  // namespace
}  // namespace l2a
