#include "train/advantages.h"

#include <cmath>
#include <limits>

#include <gtest/gtest.h>
#include <torch/types.h>

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
    const auto centred_pg = group_advantages(reward_pg, scored_pg, Advantage::kGroupMean);
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

// Rewards of some groups, some unscored, and what stands for those.
struct Rewards {
  at::Tensor reward_pg, scored_pg;
};
Rewards random_rewards(Rng& rng, int64_t prompts, int64_t group) {
  Rewards out{torch::zeros({prompts, group}, torch::kDouble), all_scored(prompts, group)};
  for (int64_t p = 0; p < prompts; ++p) {
    for (int64_t g = 0; g < group; ++g) {
      out.scored_pg[p][g] = rng.chance(0.8);
      const bool scored = out.scored_pg[p][g].item<bool>();
      out.reward_pg[p][g] = scored ? 4 * rng.uniform() : std::nan("");
    }
  }
  return out;
}

// Of the scored rewards of a group, and which replies they are of.
std::vector<std::pair<int64_t, double>> scored_of(const Rewards& r, int64_t p) {
  std::vector<std::pair<int64_t, double>> out;
  for (int64_t g = 0; g < r.reward_pg.size(1); ++g) {
    if (r.scored_pg[p][g].item<bool>()) out.emplace_back(g, r.reward_pg[p][g].item<double>());
  }
  return out;
}

TEST(GroupAdvantages, LeaveOneOutComparesWithTheMeanOfTheOthers) {
  Rng rng(8);
  for (int trial = 0; trial < 50; ++trial) {
    const Rewards r = random_rewards(rng, 3, 5);
    const auto advantage_pg = group_advantages(r.reward_pg, r.scored_pg, Advantage::kLeaveOneOut);
    for (int64_t p = 0; p < 3; ++p) {
      const auto scored = scored_of(r, p);
      auto expected_g = torch::zeros({5}, torch::kDouble);
      for (const auto& [g, reward] : scored) {
        if (scored.size() < 2) continue;
        double others = 0;
        for (const auto& [h, other] : scored) others += h == g ? 0 : other;
        expected_g[g] = reward - others / static_cast<double>(scored.size() - 1);
      }
      EXPECT_LT((advantage_pg[p] - expected_g).abs().max().item<double>(), 1e-6);
    }
  }
}

TEST(GroupAdvantages, TheBestAreThoseWithTheHighestReward) {
  Rng rng(11);
  for (int trial = 0; trial < 100; ++trial) {
    Rewards r = random_rewards(rng, 3, 6);
    r.reward_pg = (r.reward_pg / 2).round();  // so that some are alike
    const auto advantage_pg = group_advantages(r.reward_pg, r.scored_pg, Advantage::kBest);
    for (int64_t p = 0; p < 3; ++p) {
      const auto scored = scored_of(r, p);
      double best = -1, worst = 9;
      for (const auto& [g, reward] : scored) {
        best = std::max(best, reward), worst = std::min(worst, reward);
      }
      auto expected_g = torch::zeros({6});
      for (const auto& [g, reward] : scored) expected_g[g] = reward == best && best > worst;
      EXPECT_TRUE(at::equal(advantage_pg[p], expected_g));
    }
  }
}

// The deviation of numbers over all groups.
double deviation(const std::vector<double>& values) {
  double squares = 0;
  for (const double x : values) squares += x * x;
  return std::sqrt(squares / static_cast<double>(values.size()));
}

TEST(GroupAdvantages, OfTheBatchAreDividedByItsDeviation) {
  Rng rng(9);
  for (int trial = 0; trial < 50; ++trial) {
    const Rewards r = random_rewards(rng, 4, 6);
    auto expected_pg = torch::zeros({4, 6}, torch::kDouble);
    std::vector<double> all;
    for (int64_t p = 0; p < 4; ++p) {
      const auto scored = scored_of(r, p);
      double mean = 0;
      for (const auto& [g, reward] : scored) mean += reward / static_cast<double>(scored.size());
      for (const auto& [g, reward] : scored) {
        expected_pg[p][g] = reward - mean;
        all.push_back(reward - mean);
      }
    }
    expected_pg /= deviation(all) + 1e-6;
    const auto got_pg = group_advantages(r.reward_pg, r.scored_pg, Advantage::kBatchStd);
    EXPECT_LT((got_pg - expected_pg).abs().max().item<double>(), 1e-5);
  }
}

TEST(GdpoAdvantages, AreTheWeightedSumOfEachPartsOwnDividedByItsDeviation) {
  Rng rng(10);
  for (int trial = 0; trial < 50; ++trial) {
    const Rewards a = random_rewards(rng, 4, 6);
    Rewards b = random_rewards(rng, 4, 6);
    b.reward_pg = at::where(a.scored_pg, at::nan_to_num(b.reward_pg, 1.5), b.reward_pg);
    const auto part = [&](const at::Tensor& reward_pg) {
      return group_advantages(reward_pg, a.scored_pg).to(torch::kDouble);
    };
    auto expected_pg = 0.7 * part(a.reward_pg) + 2 * part(b.reward_pg);
    const auto all = expected_pg.masked_select(a.scored_pg).contiguous();
    expected_pg /=
        deviation({all.const_data_ptr<double>(), all.const_data_ptr<double>() + all.numel()}) +
        1e-6;
    const RewardPart parts[] = {{a.reward_pg, 0.7}, {b.reward_pg, 2}};
    const auto got_pg = gdpo_advantages(parts, a.scored_pg);
    EXPECT_LT((got_pg - expected_pg).abs().max().item<double>(), 1e-5);
  }
}

// A part that hardly differs weighs as much as one that does: what GDPO is for.
TEST(GdpoAdvantages, NoPartDrownsAnother) {
  const auto large_pg = torch::tensor({{0.0, 100.0, 0.0, 100.0}});
  const auto small_pg = torch::tensor({{0.0, 0.0, 0.01, 0.01}});
  const RewardPart parts[] = {{large_pg, 1}, {small_pg, 1}};
  const auto got_pg = gdpo_advantages(parts, all_scored(1, 4));
  EXPECT_NEAR(got_pg[0][1].item<float>(), got_pg[0][2].item<float>(), 1e-3);
  EXPECT_GT(got_pg[0][3].item<float>(), 1);
}

TEST(GdpoAdvantages, EqualRewardsGiveExactlyZero) {
  const RewardPart parts[] = {{torch::full({2, 7}, 0.1), 1}, {torch::full({2, 7}, 0.7), 3}};
  EXPECT_EQ(gdpo_advantages(parts, all_scored(2, 7)).abs().max().item<float>(), 0);
}

}  // namespace
}  // namespace l2a
