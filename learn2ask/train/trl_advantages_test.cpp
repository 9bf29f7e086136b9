// Advantages against TRL's GRPOTrainer and RLOOTrainer for the same rewards
// (tests/reference/trl_advantages.py).
//
// TRL's deviations divide by n - 1 and have 1e-4 added, ours by n and 1e-6; with scale_rewards
// "batch" TRL divides by the deviation of the rewards, we by that of the rewards less their group's
// mean (REINFORCE++-baseline). Each comparison takes its factor from the definitions; what is added
// vanishes beside rewards of millions. It does not in GDPO's last deviation, that of normalised
// parts: there TRL's advantages are brought to a deviation of 1.

#include <cmath>
#include <functional>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <torch/types.h>

#include "base/rng.h"
#include "train/advantages.h"
#include "train/testing.h"

namespace l2a {
namespace {

constexpr double kScale = 1e6;
constexpr int64_t kPrompts = 4, kGroup = 6;

// Of one reward function each, [kPrompts, kGroup], and which replies are scored.
struct Rewards {
  std::vector<at::Tensor> of_part;
  at::Tensor scored_pg;
};

// Some replies are alike, one group is alike throughout. `unscored`: of each group; as many as may
// be where it is negative.
Rewards random_rewards(Rng& rng, size_t parts, int unscored) {
  Rewards out{{}, torch::ones({kPrompts, kGroup}, torch::kBool)};
  for (size_t part = 0; part < parts; ++part) {
    auto reward_pg = torch::zeros({kPrompts, kGroup}, torch::kDouble);
    for (int64_t p = 0; p < kPrompts; ++p) {
      const double level = rng.uniform();
      for (int64_t g = 0; g < kGroup; ++g) {
        reward_pg[p][g] = kScale * (p == 0 ? level : level + static_cast<double>(rng.below(9)) / 2);
      }
    }
    out.of_part.push_back(reward_pg);
  }
  for (int64_t p = 0; p < kPrompts; ++p) {
    std::vector<int64_t> replies = {0, 1, 2, 3, 4, 5};
    rng.shuffle(replies);
    replies.resize(unscored < 0 ? rng.below(kGroup + 1) : static_cast<size_t>(unscored));
    for (const int64_t g : replies) out.scored_pg[p][g] = false;
  }
  return out;
}

Json case_of(const Rewards& rewards, const std::vector<double>& weights, const char* trainer,
             const char* scale, const char* aggregation = "sum_then_normalize") {
  Json out = {{"trainer", trainer},         {"scale_rewards", scale}, {"group", kGroup},
              {"aggregation", aggregation}, {"weights", weights},     {"rewards", Json::array()}};
  for (int64_t p = 0; p < kPrompts; ++p) {
    for (int64_t g = 0; g < kGroup; ++g) {
      Json reply;
      for (const auto& part : rewards.of_part) {
        if (rewards.scored_pg[p][g].item<bool>()) reply.push_back(part[p][g].item<double>());
      }
      out["rewards"].push_back(reply);  // null: not scored
    }
  }
  return out;
}

at::Tensor tensor_of(const Json& theirs) {
  return torch::tensor(theirs.get<std::vector<double>>(), torch::kDouble)
      .reshape({kPrompts, kGroup});
}

// Of each group's scored rewards, less their mean; 0 for the others.
at::Tensor less_the_mean(const Rewards& rewards) {
  const auto scored_pg = rewards.scored_pg.to(torch::kDouble);
  const auto reward_pg = rewards.of_part[0] * scored_pg;
  const auto count_p1 = scored_pg.sum(1, true).clamp_min(1);
  return (reward_pg - reward_pg.sum(1, true) / count_p1) * scored_pg;
}

// What TRL's advantage is to be multiplied with for ours, [kPrompts, 1] or a scalar.
at::Tensor factor(const Rewards& rewards, Advantage kind) {
  if (kind == Advantage::kGroupStd) {
    const auto n_p1 = rewards.scored_pg.to(torch::kDouble).sum(1, true);
    return at::where(n_p1 > 1, n_p1 / (n_p1 - 1).clamp_min(1), 0.0).sqrt();
  }
  if (kind == Advantage::kBatchStd) {
    const auto raw_n = rewards.of_part[0].masked_select(rewards.scored_pg);
    const auto centred_n = less_the_mean(rewards).masked_select(rewards.scored_pg);
    const auto deviation = centred_n.std(/*unbiased=*/false);
    return at::where(deviation > 0, raw_n.std(/*unbiased=*/true) / deviation, 0.0);
  }
  return torch::ones({}, torch::kDouble);
}

struct Comparison {
  std::string name;
  at::Tensor ours_pg;
  std::function<at::Tensor(const at::Tensor&)> expected;  // of TRL's
};

// float32 holds rewards and advantages to 2^-24 of themselves; rewards are up to five deviations.
// GDPO's last deviation is above 1: what is added to it is 1e-6 of it at most.
void expect_same(const Comparison& c, const Json& theirs) {
  const auto expected_pg = c.expected(tensor_of(theirs));
  const double largest = expected_pg.abs().max().item<double>();
  EXPECT_LE((c.ours_pg.to(torch::kDouble) - expected_pg).abs().max().item<double>(), 2e-6 * largest)
      << c.name;
}

TEST(TrlAdvantages, AreTheSame) {
  if (!testing::has_python()) GTEST_SKIP() << "no private Python environment (tools/dev)";
  Rng rng(1);
  std::vector<Comparison> comparisons;
  Json cases = Json::array();
  for (int trial = 0; trial < 20; ++trial) {
    const Rewards rewards = random_rewards(rng, 1, -1);
    const auto compare = [&](const char* name, Advantage kind, const char* trainer,
                             const char* scale) {
      comparisons.push_back(
          {name, group_advantages(rewards.of_part[0], rewards.scored_pg, kind),
           [f = factor(rewards, kind)](const at::Tensor& theirs_pg) { return theirs_pg * f; }});
      cases.push_back(case_of(rewards, {1}, trainer, scale));
    };
    compare("std", Advantage::kGroupStd, "grpo", "group");
    compare("mean", Advantage::kGroupMean, "grpo", "none");
    compare("batch", Advantage::kBatchStd, "grpo", "batch");
    compare("leave one out", Advantage::kLeaveOneOut, "rloo", "none");

    // As many replies of each group, so that n / (n - 1) is the same in all and the last deviation
    // takes it off.
    const Rewards parts = random_rewards(rng, 3, static_cast<int>(rng.below(3)));
    const std::vector<double> weights = {1, 0.25, 2};
    std::vector<RewardPart> weighted;
    for (size_t i = 0; i < 3; ++i) weighted.push_back({parts.of_part[i], weights[i]});
    comparisons.push_back({"parts", gdpo_advantages(weighted, parts.scored_pg),
                           [scored_pg = parts.scored_pg](const at::Tensor& theirs_pg) {
                             return theirs_pg /
                                    theirs_pg.masked_select(scored_pg).std(/*unbiased=*/false);
                           }});
    cases.push_back(case_of(parts, weights, "grpo", "group", "normalize_then_sum"));
  }
  const Json theirs = testing::reference_answers("trl_advantages.py", cases);
  ASSERT_EQ(theirs.size(), comparisons.size());
  for (size_t i = 0; i < comparisons.size(); ++i) expect_same(comparisons[i], theirs[i]);
}

}  // namespace
}  // namespace l2a
