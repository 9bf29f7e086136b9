#include "train/dpo.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <torch/autograd.h>
#include <torch/types.h>

#include "base/error.h"
#include "base/testing.h"
#include "train/dpo_update.h"
#include "train/grpo_testing.h"
#include "train/preferences.h"

namespace l2a {
namespace {

using testing::lines_of;
using testing::reward_low_bytes;

class DpoTest : public testing::GrpoTest {
 protected:
  static DpoOptions small_options() {
    DpoOptions options{.steps = 60,
                       .replies = {.sessions_per_step = 2, .group_size = 8, .max_reply_tokens = 5}};
    options.optimizer = {.lr = 0.02, .warmup_steps = 0, .schedule = "constant"};
    return options;
  }

  std::vector<ReplyGroup> groups_of(const std::vector<LabelledSession>& sessions,
                                    const LoraAdapter& adapter) const {
    return graded_groups(setup, sessions, adapter, testing::GrpoTest::small_options());
  }
};

// The share of letters and spaces, of which the expert's replies are made.
std::vector<RewardResult> reward_letters(std::span<const RewardRequest> requests) {
  std::vector<RewardResult> results(requests.size());
  for (size_t i = 0; i < requests.size(); ++i) {
    const std::string& text = requests[i].reply.text;
    const auto letters = std::count_if(text.begin(), text.end(),
                                       [](char c) { return c == ' ' || (c >= 'a' && c <= 'z'); });
    results[i].reward = text.empty() ? 0 : 1.0 * letters / static_cast<double>(text.size());
  }
  return results;
}

TEST_F(DpoTest, AllObjectivesRaiseTheReward) {
  for (const char* objective : {"dpo", "ipo", "kto"}) {
    for (const uint64_t seed : {1, 2}) {
      setup.directory = directory.path / (objective + std::to_string(seed));
      auto adapter = testing::tiny_adapter(tiny, seed);
      DpoOptions options = small_options();
      options.objective = objective;
      options.loop.seed = seed;
      train_dpo(setup, testing::labelled_sessions(4), {}, reward_low_bytes, options, adapter);
      EXPECT_LT(mean_reward_of_five(0), 0.3);
      EXPECT_GT(mean_reward_of_five(55), 1.5 * mean_reward_of_five(0)) << objective << " " << seed;
    }
  }
}

TEST_F(DpoTest, LearnsFromTheExpertWhatItWouldNotSayItself) {
  auto adapter = testing::tiny_adapter(tiny);
  DpoOptions options = small_options();
  options.pairs = "expert";
  options.sft_weight = 1;
  options.optimizer.lr = 0.03;
  options.replies.max_reply_tokens = 12;
  train_dpo(setup, testing::labelled_sessions(4), {}, reward_letters, options, adapter);
  EXPECT_GT(mean_reward_of_five(55), 1.5 * mean_reward_of_five(0));
  const auto last = lines_of(setup.directory / "metrics.jsonl").back();
  EXPECT_GT(last["good_gain"].get<double>(), last["bad_gain"].get<double>());
  EXPECT_GT(last["right"].get<double>(), 0.9);
}

TEST_F(DpoTest, PausesWhereTheExpertsRepliesCannotBeGraded) {
  auto adapter = testing::tiny_adapter(tiny);
  DpoOptions options = small_options();
  options.pairs = "expert";
  options.replies.max_reply_tokens = 20;
  const auto fails_on_experts = [](std::span<const RewardRequest> requests) {
    auto results = reward_low_bytes(requests);
    for (size_t i = 0; i < requests.size(); ++i) {
      const Sample& sample = *requests[i].sample;
      const bool stop = sample.decision->value == Decision::kStop;
      const std::string expert = stop ? "<stop />" : requests[i].session->turns[sample.turn].text;
      if (requests[i].reply.text == expert) results[i] = {.reward = {}, .note = "too long"};
    }
    return results;
  };
  try {
    train_dpo(setup, testing::labelled_sessions(4), {}, fails_on_experts, options, adapter);
    FAIL();
  } catch (const Failure& failure) {
    EXPECT_NE(failure.error.message.find("of the last"), std::string::npos)
        << failure.error.message;
  }
  const auto failures = lines_of(setup.directory / "failures.jsonl");
  ASSERT_GE(failures.size(), 11u);
  for (const Json& failure : failures) {
    EXPECT_EQ(failure["reply"], "expert");
    EXPECT_EQ(failure["reason"], "too long");
  }
}

TEST_F(DpoTest, ComparesTheBestWithTheWorstThatCount) {
  const auto adapter = testing::tiny_adapter(tiny);
  const auto sessions = testing::labelled_sessions(2);
  auto groups = groups_of(sessions, adapter);
  ASSERT_GE(groups.size(), 3u);
  groups.resize(3);
  const auto set = [&](size_t group, std::vector<double> rewards) {
    for (size_t g = 0; g < rewards.size(); ++g) groups[group].results[g].reward = rewards[g];
  };
  set(0, {1, 3, 0.5, 0.5});
  set(1, {2, 2, 2, 2});  // nothing to compare
  set(2, {1, 3, 0, 2});
  groups[2].results[2].reward.reset();
  DpoOptions options = small_options();
  options.weights = {.on_stop = 3, .on_continue = 0.5};
  const auto judged = judge_replies(groups, setup, reward_low_bytes, options);
  const auto is = [&](size_t row, size_t group, size_t reply, bool good) {
    const auto expected =
        training_row(groups[group], groups[group].replies[reply].ids, static_cast<int64_t>(group));
    EXPECT_EQ(judged.rows[row].ids, expected.ids);
    EXPECT_EQ(judged.rows[row].context, expected.context);
    EXPECT_EQ(judged.rows[row].group, expected.group);
    EXPECT_EQ(judged.good[row], good);
    EXPECT_EQ(judged.log_probs[row], groups[group].replies[reply].log_probs);
    const bool stop = groups[group].sample->decision->value == Decision::kStop;
    EXPECT_EQ(judged.weights[row], stop ? 3 : 0.5);
  };
  ASSERT_EQ(judged.rows.size(), 4u);
  is(0, 0, 1, true), is(1, 0, 2, false), is(2, 2, 1, true), is(3, 2, 0, false);

  options.objective = "kto";
  const auto each = judge_replies(groups, setup, reward_low_bytes, options);
  ASSERT_EQ(each.rows.size(), 6u);  // the reply that earned the mean, 2, and the unscored are out
  EXPECT_EQ(each.good, (std::vector<bool>{false, true, false, false, false, true}));
}

TEST_F(DpoTest, PrefersTheExpertOnlyWhereItsReplyEarnsMore) {
  const auto adapter = testing::tiny_adapter(tiny);
  const auto sessions = testing::labelled_sessions(3);
  auto groups = groups_of(sessions, adapter);
  ASSERT_GE(groups.size(), 4u);
  groups.resize(4);
  for (auto& group : groups) {
    for (auto& result : group.results) result.reward = 1;
    group.results[3].reward = 0.5;
  }
  const std::vector<std::optional<double>> earned = {2.0, 0.5, std::nullopt, 0.75};
  const auto reward = [&](std::span<const RewardRequest> requests) {
    EXPECT_EQ(requests.size(), 4u);
    std::vector<RewardResult> results(requests.size());
    for (size_t i = 0; i < requests.size(); ++i) {
      const bool stop = requests[i].sample->decision->value == Decision::kStop;
      EXPECT_EQ(requests[i].reply.text,
                stop ? "<stop />" : requests[i].session->turns[requests[i].sample->turn].text);
      results[i].reward = earned[i];
      if (!earned[i]) results[i].note = "no answer";
    }
    return results;
  };
  DpoOptions options = small_options();
  options.pairs = "expert";
  options.replies.max_reply_tokens = 20;
  const auto judged = judge_replies(groups, setup, reward, options);
  ASSERT_EQ(judged.rows.size(), 4u);
  ASSERT_EQ(judged.expert_failures.size(), 1u);
  EXPECT_EQ(judged.expert_failures[0]["context"], sample_id(*groups[2].session, *groups[2].sample));
  EXPECT_EQ(judged.expert_failures[0]["reason"], "no answer");
  EXPECT_EQ(judged.rows[0].group, 0);
  EXPECT_EQ(judged.rows[2].group, 3);
  EXPECT_TRUE(judged.log_probs[0].empty());
  EXPECT_EQ(judged.log_probs[1], groups[0].replies[3].log_probs);

  options.replies.max_reply_tokens = 2;  // no expert is so short
  const auto nothing = [](std::span<const RewardRequest> requests) {
    EXPECT_TRUE(requests.empty());
    return std::vector<RewardResult>();
  };
  EXPECT_TRUE(judge_replies(groups, setup, nothing, options).rows.empty());
}

// The loss of the paper, each reply computed by itself.
TEST_F(DpoTest, TheStepFollowsTheGradientOverUnsharedRows) {
  const auto sessions = testing::labelled_sessions(3);
  const auto start = testing::tiny_adapter(tiny, 9);
  DpoOptions options = small_options();
  options.beta = 0.7;
  options.sft_weight = 0.3;
  options.optimizer.epsilon = 1;  // large: the step is then nearly the gradient itself
  options.optimizer.max_grad_norm = 1e6;
  options.loop.token_budget = 200;
  options.replies.temperature = 1.3;
  auto adapter = testing::tiny_adapter(tiny);
  const auto groups = groups_of(sessions, adapter);
  auto judged = judge_replies(groups, setup, reward_low_bytes, options);
  ASSERT_GE(judged.rows.size(), 6u);
  double good_tokens = 0, tokens = 0;
  for (size_t r = 0; r < judged.rows.size(); ++r) {
    const auto targets = static_cast<double>(judged.rows[r].targets());
    tokens += targets;
    if (r % 2 == 0) good_tokens += targets;
  }
  const auto log_probs = [&](size_t r, const LoraAdapter& of) {
    return target_log_probs(tiny.model, &of, make_row_tree({&judged.rows[r], 1}, {0}), 1.3)
        .log_prob_n;
  };
  const auto log_prob = [&](size_t r, const LoraAdapter& of) { return log_probs(r, of).sum(); };
  // As if the sampler had been the trainer but for one token.
  for (size_t r = 0; r < judged.rows.size(); ++r) {
    const auto of_row = log_probs(r, adapter).detach().cpu();
    judged.log_probs[r].assign(of_row.const_data_ptr<float>(),
                               of_row.const_data_ptr<float>() + of_row.numel());
  }
  judged.log_probs[1][0] -= 0.5F;
  auto loss = at::zeros({}, at::kDouble);
  const double pairs = static_cast<double>(judged.rows.size()) / 2;
  for (size_t r = 0; r < judged.rows.size(); r += 2) {
    const auto chosen = log_prob(r, adapter).to(at::kDouble);
    const auto margin = chosen - log_prob(r + 1, adapter).to(at::kDouble) -
                        log_prob(r, start).item<double>() + log_prob(r + 1, start).item<double>();
    loss = loss - torch::log(torch::sigmoid(0.7 * margin)) / pairs - 0.3 * chosen / good_tokens;
  }
  const auto gradient = torch::autograd::grad({loss}, adapter.parameters());
  std::vector<at::Tensor> parts;
  for (const auto& g : gradient) parts.push_back(g.flatten().to(at::kDouble));
  const auto g = at::cat(parts);

  const auto before = testing::flat(adapter).to(at::kDouble);
  AdamW optimizer(adapter.parameters(), options.optimizer);
  TrainingRun run(setup, options.loop, options.optimizer, 1, adapter, optimizer);
  ASSERT_TRUE(run.goes_on());
  const Json metrics = update_preferences(judged, setup, start, options, adapter, run);
  EXPECT_NEAR(metrics["loss"].get<double>(), loss.item<double>(), 1e-5);
  EXPECT_EQ(metrics["pairs"].get<double>(), pairs);
  EXPECT_NEAR(metrics["sampler_gap_max"].get<double>(), 0.5, 1e-4);
  EXPECT_NEAR(metrics["sampler_gap"].get<double>(), 0.5 / tokens, 1e-4);
  const auto expected = -0.02 * g / (g.abs() + 1);
  const auto step = testing::flat(adapter).to(at::kDouble) - before;
  EXPECT_GT(expected.abs().max().item<double>(), 1e-4);
  // Parameters near 0.2 are rounded to 1e-8.
  EXPECT_LT((step - expected).abs().max().item<double>(), 1e-7);
}

TEST_F(DpoTest, KtoTakesTheDistanceFromTheRepliesThatThePolicySampled) {
  const auto sessions = testing::labelled_sessions(3);
  const auto start = testing::tiny_adapter(tiny, 9);
  auto adapter = testing::tiny_adapter(tiny);
  DpoOptions options = small_options();
  options.objective = "kto";
  const auto judged = judge_replies(groups_of(sessions, adapter), setup, reward_low_bytes, options);
  double sum = 0;
  for (const TrainingRow& row : judged.rows) {
    const auto tree = make_row_tree({&row, 1}, {0});
    sum += (frozen_log_probs(tiny.model, &adapter, tree, 1).sum() -
            frozen_log_probs(tiny.model, &start, tree, 1).sum())
               .item<double>();
  }
  AdamW optimizer(adapter.parameters(), options.optimizer);
  TrainingRun run(setup, options.loop, options.optimizer, 1, adapter, optimizer);
  ASSERT_TRUE(run.goes_on());
  const Json metrics = update_preferences(judged, setup, start, options, adapter, run);
  const double mean = sum / static_cast<double>(judged.rows.size());
  EXPECT_NEAR(metrics["reply_kl"].get<double>(), std::max(0.0, mean), 1e-4);
  EXPECT_TRUE(metrics["right"].is_null());
}

TEST_F(DpoTest, TakesNoStepWhereNothingCanBeCompared) {
  auto adapter = testing::tiny_adapter(tiny);
  const auto before = testing::flat(adapter).clone();
  DpoOptions options = small_options();
  options.steps = 2;
  const auto same = [](std::span<const RewardRequest> requests) {
    return std::vector<RewardResult>(requests.size(), {.reward = 1});
  };
  train_dpo(setup, testing::labelled_sessions(4), {}, same, options, adapter);
  EXPECT_TRUE(testing::flat(adapter).equal(before));
  const auto metrics = lines_of(setup.directory / "metrics.jsonl");
  ASSERT_EQ(metrics.size(), 2u);
  EXPECT_EQ(metrics[0]["pairs"], 0);
  EXPECT_TRUE(metrics[0]["loss"].is_null());
  EXPECT_EQ(metrics[0]["zero_variance_groups"], 1);
}

TEST_F(DpoTest, PausesWhenTheGraderIsDown) {
  auto adapter = testing::tiny_adapter(tiny);
  const auto down = [](std::span<const RewardRequest> requests) {
    return std::vector<RewardResult>(requests.size(), {.reward = std::nullopt, .note = "down"});
  };
  try {
    train_dpo(setup, testing::labelled_sessions(4), {}, down, small_options(), adapter);
    FAIL();
  } catch (const Failure& failure) {
    EXPECT_EQ(failure.error.code, ErrorCode::kUnavailable);
  }
}

TEST_F(DpoTest, RefusesKtoOnPairs) {
  auto adapter = testing::tiny_adapter(tiny);
  DpoOptions options = small_options();
  options.objective = "kto";
  options.pairs = "expert";
  EXPECT_THROW(
      train_dpo(setup, testing::labelled_sessions(4), {}, reward_low_bytes, options, adapter),
      Failure);
  EXPECT_FALSE(std::filesystem::exists(setup.directory / "metrics.jsonl"));
}

TEST_F(DpoTest, RefusesWhatTheExpertsReplyDoesNotGoWith) {
  auto adapter = testing::tiny_adapter(tiny);
  const auto said = [&](const DpoOptions& options) {
    return failure_of([&] {
      train_dpo(setup, testing::labelled_sessions(1), {}, reward_low_bytes, options, adapter);
    });
  };
  DpoOptions options = small_options();
  options.pairs = "expert";
  options.replies.dynamic_rounds = 2;
  EXPECT_TRUE(said(options).starts_with("train dpo: dynamic_rounds: ")) << said(options);
  options.replies.dynamic_rounds = 0;
  options.objective = "kto";
  EXPECT_TRUE(said(options).starts_with("train dpo: objective: kto ")) << said(options);
  EXPECT_FALSE(std::filesystem::exists(directory.path / "checkpoints"));
}

}  // namespace
}  // namespace l2a
