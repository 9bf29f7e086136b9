#include "train/advantages.h"

#include <cmath>
#include <limits>

#include <gtest/gtest.h>
#include <torch/torch.h>

#include "base/rng.h"

namespace l2a {
namespace {

at::Tensor all_scored(int64_t prompts, int64_t group) {
  return torch::ones({prompts, group}, torch::kBool);
}

TEST(GroupAdvantages, EqualRewardsGiveExactlyZero) {
  for (int64_t group : {2, 3, 5, 7, 8, 11, 16}) {
    for (float reward = 0; reward <= 4; reward += 0.01f) {
      const auto reward_pg = torch::full({1, group}, reward);
      const auto adv_pg = group_advantages(reward_pg, all_scored(1, group));
      ASSERT_EQ(adv_pg.abs().max().item<float>(), 0) << group << " x " << reward;
      ASSERT_TRUE(zero_variance_groups(adv_pg)[0].item<bool>());
    }
  }
}

TEST(GroupAdvantages, EqualRewardsOfTheScoredGiveExactlyZero) {
  for (int64_t unscored = 0; unscored < 8; ++unscored) {
    for (double reward = 0; reward <= 4; reward += 0.1) {
      auto reward_pg = torch::full({1, 8}, reward, torch::kDouble);
      auto scored_pg = all_scored(1, 8);
      reward_pg[0][unscored] = std::nan("");
      scored_pg[0][unscored] = false;
      ASSERT_EQ(group_advantages(reward_pg, scored_pg).abs().max().item<float>(), 0);
    }
  }
}

TEST(GroupAdvantages, MatchTheFormulaOverTheScoredReplies) {
  Rng rng(3);
  for (int trial = 0; trial < 200; ++trial) {
    auto reward_pg = torch::zeros({1, 8}, torch::kDouble);
    auto scored_pg = all_scored(1, 8);
    double sum = 0, squares = 0, n = 0;
    for (int g = 0; g < 8; ++g) {
      const double r = 4 * rng.uniform();
      const bool scored = rng.chance(0.8);
      reward_pg[0][g] = scored ? r : 1e9;  // whatever stands there must not matter
      scored_pg[0][g] = scored;
      if (scored) sum += r, squares += r * r, n += 1;
    }
    const double mean = n > 0 ? sum / n : 0;
    const double deviation = n > 0 ? std::sqrt(std::max(0.0, squares / n - mean * mean)) : 0;
    const auto by_std_pg = group_advantages(reward_pg, scored_pg);
    const auto centred_pg = group_advantages(reward_pg, scored_pg, AdvantageScale::kNone);
    for (int g = 0; g < 8; ++g) {
      const bool scored = scored_pg[0][g].item<bool>();
      const double centred = scored ? reward_pg[0][g].item<double>() - mean : 0;
      EXPECT_NEAR(centred_pg[0][g].item<double>(), centred, 1e-6);
      if (n < 2) continue;
      EXPECT_NEAR(by_std_pg[0][g].item<double>(), centred / (deviation + 1e-6), 1e-5);
    }
  }
}

TEST(GroupAdvantages, AnAllUnscoredGroupIsZero) {
  const auto reward_pg = torch::full({1, 4}, std::numeric_limits<double>::quiet_NaN());
  const auto adv_pg = group_advantages(reward_pg, torch::zeros({1, 4}, torch::kBool));
  EXPECT_EQ(adv_pg.abs().max().item<float>(), 0);
}

TEST(GroupAdvantages, GroupsDoNotTouchEachOther) {
  const auto reward_pg = torch::tensor({{0.0, 4.0}, {1.0, 1.0}});
  const auto adv_pg = group_advantages(reward_pg, all_scored(2, 2));
  EXPECT_NEAR(adv_pg[0][0].item<float>(), -1, 1e-5);
  EXPECT_NEAR(adv_pg[0][1].item<float>(), 1, 1e-5);
  EXPECT_FALSE(zero_variance_groups(adv_pg)[0].item<bool>());
  EXPECT_TRUE(zero_variance_groups(adv_pg)[1].item<bool>());
}

}  // namespace
}  // namespace l2a
