#include "train/reward_shaping.h"

#include <cmath>

#include <gtest/gtest.h>
#include <torch/autograd.h>
#include <torch/types.h>

#include "train/grpo_testing.h"

namespace l2a {
namespace {

using RewardShaping = testing::GrpoTest;

TEST(OverlongPenalty, FallsOverTheLastTokensThatThereIsRoomFor) {
  for (int64_t tokens = 0; tokens <= 20; ++tokens) {  // DAPO's three cases
    const double expected = tokens <= 12 ? 0 : tokens <= 16 ? (12.0 - tokens) / 4 : -1;
    EXPECT_DOUBLE_EQ(overlong_penalty(tokens, 16, 4), expected) << tokens;
  }
}

// Against each reply alone, with its distribution from the logits.
TEST_F(RewardShaping, TakesTheKlToTheStartModelOffEachReply) {
  const auto start = testing::tiny_adapter(tiny, 5), adapter = testing::tiny_adapter(tiny, 6);
  const auto sessions = testing::labelled_sessions(3);
  GrpoOptions options = small_options();
  options.replies.temperature = 1.3;
  options.loss.kl_weight = 0.3;
  options.loss.kl_in = "reward";
  options.loop.token_budget = 150;
  auto groups = graded_groups(setup, sessions, adapter, options);
  groups[1].results[2].reward.reset();
  const at::NoGradGuard no_grad;
  for (const char* estimator : {"k1", "k3"}) {
    options.loss.kl = estimator;
    const auto mean = shape_rewards(groups, setup, &start, adapter, options);
    double sum = 0, tokens = 0;
    for (const ReplyGroup& group : groups) {
      for (size_t g = 0; g < group.replies.size(); ++g) {
        if (!group.results[g].reward) {
          EXPECT_EQ(group.shaping[g], 0);
          continue;
        }
        std::vector<std::vector<int32_t>> row = {group.context};
        const auto& ids = group.replies[g].ids;
        row[0].insert(row[0].end(), ids.begin(), ids.end());
        const auto log_p = [&](const LoraAdapter& policy) {
          const auto hidden = tiny.model.hidden(build_token_tree(row), &policy);
          return (tiny.model.logits(hidden).to(at::kDouble) / 1.3).log_softmax(1);
        };
        const auto of_policy = log_p(adapter), of_start = log_p(start);
        double kl = 0;
        for (size_t t = 0; t < ids.size(); ++t) {
          const auto place = static_cast<int64_t>(group.context.size() + t) - 1;
          const double gap = (of_policy[place][ids[t]] - of_start[place][ids[t]]).item<double>();
          kl += estimator == std::string("k1") ? gap : std::exp(-gap) - 1 + gap;
        }
        EXPECT_NEAR(group.shaping[g], -0.3 * kl, 1e-5);
        sum += kl;
        tokens += static_cast<double>(ids.size());
      }
    }
    EXPECT_NEAR(mean.value(), sum / tokens, 1e-5);
  }
}

TEST_F(RewardShaping, ChangesAdvantagesAndNotTheReward) {
  const auto adapter = testing::tiny_adapter(tiny);
  const auto sessions = testing::labelled_sessions(2);
  GrpoOptions options = small_options();
  options.advantage = "mean";
  auto groups = graded_groups(setup, sessions, adapter, options);
  const auto before = groups[0];
  groups[0].shaping = {0, -0.5, 0, -0.3};
  set_advantages(groups, options);
  for (size_t g = 0; g < 4; ++g) {
    EXPECT_NEAR(groups[0].advantages[g], before.advantages[g] + groups[0].shaping[g] + 0.2, 1e-6);
    EXPECT_EQ(*groups[0].results[g].reward, *before.results[g].reward);
  }
}

}  // namespace
}  // namespace l2a
