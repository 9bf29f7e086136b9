// An update of the policy, against the same computed a row at a time; the rows that it takes.
#include "train/grpo_update.h"

#include <cmath>

#include <gtest/gtest.h>
#include <torch/autograd.h>
#include <torch/types.h>

#include "train/grpo_testing.h"
#include "train/policy_rows.h"

namespace l2a {
namespace {

using testing::TinyChat;

using GrpoUpdate = testing::GrpoTest;

at::Tensor log_probs_alone(const TinyChat& tiny, const LoraAdapter& adapter,
                           const ReplyGroup& group, size_t reply, double temperature) {
  const auto row = training_row(group, group.replies[reply].ids, 0);
  return target_log_probs(tiny.model, &adapter, make_row_tree({&row, 1}, {0}), temperature)
      .log_prob_n;
}

TEST_F(GrpoUpdate, TheFirstStepFollowsTheGradientOfReinforceOverUnsharedRows) {
  const auto sessions = testing::labelled_sessions(3);
  const GrpoOptions options = [] {
    auto o = small_options();
    o.optimizer.epsilon = 1;  // large: the step is then nearly the gradient itself
    o.optimizer.max_grad_norm = 1e6;
    o.loop.token_budget = 200;
    o.replies.temperature = 1.3;
    return o;
  }();
  auto adapter = testing::tiny_adapter(tiny);
  auto groups = graded_groups(setup, sessions, adapter, options);
  for (auto& group : groups) {  // of the first token, as with credit: parts
    for (double& advantage : group.first_advantages) advantage *= -2;
  }

  // Sum over replies of -mean(advantage * log p) / replies, a row at a time.
  double replies = 0;
  for (const auto& group : groups) replies += static_cast<double>(group.replies.size());
  std::vector<at::Tensor> gradient;
  for (const auto& p : adapter.parameters()) gradient.push_back(at::zeros_like(p, at::kDouble));
  for (const auto& group : groups) {
    for (size_t g = 0; g < group.replies.size(); ++g) {
      const auto log_prob_n = log_probs_alone(tiny, adapter, group, g, 1.3);
      auto advantage_n = at::full_like(log_prob_n, group.advantages[g]);
      advantage_n[0] = group.first_advantages[g];
      const auto loss = -(advantage_n * log_prob_n).mean() / replies;
      const auto part = torch::autograd::grad({loss}, adapter.parameters());
      for (size_t i = 0; i < part.size(); ++i) gradient[i] += part[i];
    }
  }

  const auto before = testing::flat(adapter).to(at::kDouble);
  const Json metrics = update_once(setup, groups, options, adapter);
  std::vector<at::Tensor> parts;
  for (const auto& g : gradient) parts.push_back(g.flatten());
  const auto g = at::cat(parts);
  const auto expected = -0.01 * g / (g.abs() + 1);
  const auto step = testing::flat(adapter).to(at::kDouble) - before;
  // Parameters near 0.2 are rounded to 1e-8.
  EXPECT_LT((step - expected).abs().max().item<double>(), 5e-8);
  EXPECT_GT(expected.abs().max().item<double>(), 1e-5);
  EXPECT_NEAR(metrics["grad_norm"].get<double>(), g.norm().item<double>(),
              1e-4 * g.norm().item<double>());
  EXPECT_EQ(metrics["clipped"].get<double>(), 0);
  EXPECT_LT(metrics["sampler_gap_max"].get<double>(), 1e-4);
  EXPECT_TRUE(metrics["kl"].is_null());
}

// Two updates on the same replies: the second is clipped against the policy that sampled them.
TEST_F(GrpoUpdate, TheSecondEpochIsComparedWithThePolicyThatSampled) {
  GrpoOptions options = small_options();
  options.inner_epochs = 2;
  options.optimizer.lr = 0.1;
  options.optimizer.epsilon = 1e-3;  // else what is rounding in a gradient is a whole step
  options.optimizer.max_grad_norm = 1e6;
  const auto start = testing::tiny_adapter(tiny);
  const auto sessions = testing::labelled_sessions(3);  // the groups point into them
  const auto groups = graded_groups(setup, sessions, start, options);
  double replies = 0;
  for (const auto& group : groups) replies += static_cast<double>(group.replies.size());

  // Unshared rows; `old_moves`: what it would be if the ratio were taken to the last update.
  const auto by_hand = [&](bool old_moves) {
    auto adapter = testing::tiny_adapter(tiny);
    AdamW optimizer(adapter.parameters(), options.optimizer);
    for (int epoch = 0; epoch < 2; ++epoch) {
      for (const auto& group : groups) {
        for (size_t g = 0; g < group.replies.size(); ++g) {
          const auto log_prob_n = log_probs_alone(tiny, adapter, group, g, 1);
          const auto old_n =
              log_probs_alone(tiny, old_moves ? adapter : start, group, g, 1).detach();
          const auto ratio_n = (log_prob_n - old_n).exp();
          const double advantage = group.advantages[g];
          const auto gain_n =
              at::minimum(ratio_n * advantage,
                          ratio_n.clamp(1 - options.loss.clip, 1 + options.loss.clip) * advantage);
          (-gain_n.mean() / replies).backward();
        }
      }
      optimizer.step(options.optimizer.lr);
      optimizer.zero_grad();
    }
    return testing::flat(adapter);
  };

  auto adapter = testing::tiny_adapter(tiny);
  const Json metrics = update_once(setup, groups, options, adapter);
  EXPECT_GT(metrics["clipped"].get<double>(), 0);
  const auto distance = [&](const at::Tensor& other) {
    return (testing::flat(adapter) - other).norm().item<double>();
  };
  EXPECT_LT(distance(by_hand(false)), 0.02 * distance(by_hand(true)));
}

TEST_F(GrpoUpdate, RepliesSampledInEightBitsAreTrainedOnExactly) {
  const TinyChat tiny_int8(3, true);
  const TrainerSetup by_int8 = testing::tiny_setup(tiny_int8, directory.path / "int8");
  const auto sessions = testing::labelled_sessions(3);
  const GrpoOptions options = small_options();
  const auto groups = graded_groups(by_int8, sessions, testing::tiny_adapter(tiny), options);
  const auto learn = [&](const TrainerSetup& with) {
    auto adapter = testing::tiny_adapter(tiny);
    const Json metrics = update_once(with, groups, options, adapter);
    EXPECT_EQ(metrics["clipped"].get<double>(), 0);
    EXPECT_GT(metrics["sampler_gap_max"].get<double>(), 1e-4) << "not sampled in eight bits";
    return testing::flat(adapter);
  };
  EXPECT_TRUE(at::equal(learn(by_int8), learn(setup)));
}

TEST_F(GrpoUpdate, LeavingOutGroupsWithoutVarianceChangesNothing) {
  const auto adapter = testing::tiny_adapter(tiny);
  const auto sessions = testing::labelled_sessions(2);  // the groups point into them
  auto groups = graded_groups(setup, sessions, adapter, small_options());
  for (auto& result : groups[0].results) result.reward = 1;
  groups[1].results[2].reward.reset();
  set_advantages(groups, small_options());
  ASSERT_TRUE(groups[0].zero_variance);
  GrpoOptions pulled = small_options();
  const PolicyRows policy = policy_rows(groups, setup, pulled);
  size_t scored = 0;
  for (const auto& group : groups) {
    for (const auto& result : group.results) scored += result.reward.has_value();
  }
  size_t moving = 0;
  for (const auto& group : groups) {
    for (const auto& result : group.results) moving += result.reward && !group.zero_variance;
  }
  EXPECT_EQ(policy.rows.size(), moving);
  for (double* const weight : {&pulled.loss.kl_weight, &pulled.loss.entropy_weight}) {
    *weight = 0.1;
    EXPECT_EQ(policy_rows(groups, setup, pulled).rows.size(), scored);
    *weight = 0;
  }
  for (size_t r = 0; r < policy.rows.size(); ++r) {
    EXPECT_NE(policy.rows[r].group, 0);
    EXPECT_DOUBLE_EQ(
        policy.token_weights[r],
        1.0 / (static_cast<double>(scored) * static_cast<double>(policy.rows[r].targets())));
  }
}

TEST_F(GrpoUpdate, LearnsFromRepliesThatAreEmpty) {
  auto adapter = testing::tiny_adapter(tiny);
  const auto sessions = testing::labelled_sessions(2);
  auto groups = graded_groups(setup, sessions, adapter, small_options());
  for (auto& group : groups) {
    for (size_t g = 0; g < group.replies.size(); ++g) {  // the end of turn and nothing else
      group.replies[g].ids = {tiny.chat.end_of_turn()};
      group.replies[g].log_probs = {-1};
      group.results[g].reward = static_cast<double>(g % 2);
    }
  }
  set_advantages(groups, small_options());
  const Json metrics = update_once(setup, groups, small_options(), adapter);
  EXPECT_TRUE(std::isfinite(metrics["loss"].get<double>()));
  EXPECT_TRUE(at::isfinite(testing::flat(adapter)).all().item<bool>());
}

// All replies masked but one: it is compared with nothing.
TEST_F(GrpoUpdate, AGroupOfOneTeachesNothing) {
  const auto adapter = testing::tiny_adapter(tiny);
  const auto sessions = testing::labelled_sessions(2);
  auto groups = graded_groups(setup, sessions, adapter, small_options());
  for (auto& group : groups) {
    for (size_t g = 1; g < group.results.size(); ++g) group.results[g].reward.reset();
  }
  for (const char* kind : {"std", "mean", "leave_one_out", "batch", "best", "parts"}) {
    GrpoOptions options = small_options();
    options.advantage = kind;
    set_advantages(groups, options);
    EXPECT_TRUE(policy_rows(groups, setup, options).rows.empty()) << kind;
  }
}

}  // namespace
}  // namespace l2a
