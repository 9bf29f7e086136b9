#include "train/grpo_loss.h"

#include <algorithm>
#include <cmath>

#include <gtest/gtest.h>
#include <torch/torch.h>

#include "base/rng.h"

namespace l2a {
namespace {

// Everything in double, so that only the formula is compared.
struct Example {
  std::vector<double> log_prob, old, reference, advantage, weight;
};

Example random_example(Rng& rng, size_t n) {
  Example e;
  for (size_t i = 0; i < n; ++i) {
    const double old = -3 * rng.uniform();
    e.old.push_back(old);
    e.log_prob.push_back(old + rng.uniform() - 0.5);  // ratios in [0.6, 1.65]
    e.reference.push_back(old + rng.uniform() - 0.5);
    e.advantage.push_back(4 * rng.uniform() - 2);
    e.weight.push_back(rng.chance(0.2) ? 0 : rng.uniform());
  }
  return e;
}

GrpoLossInputs tensors(const Example& e, at::Tensor& log_prob_n) {
  log_prob_n = torch::tensor(e.log_prob, torch::kDouble).requires_grad_(true);
  return {.log_prob_n = log_prob_n,
          .old_n = torch::tensor(e.old, torch::kDouble),
          .reference_n = torch::tensor(e.reference, torch::kDouble),
          .advantage_n = torch::tensor(e.advantage, torch::kDouble),
          .weight_n = torch::tensor(e.weight, torch::kDouble)};
}

double kl(const std::string& estimator, double log_prob, double reference) {
  const double p_over_ref = std::exp(log_prob - reference);
  if (estimator == "k1") return std::log(p_over_ref);
  if (estimator == "k2") return 0.5 * std::pow(std::log(p_over_ref), 2);
  return 1 / p_over_ref - 1 - std::log(1 / p_over_ref);
}

double literal_loss(const Example& e, const GrpoLossOptions& options) {
  double loss = 0;
  for (size_t i = 0; i < e.old.size(); ++i) {
    const double ratio = std::exp(e.log_prob[i]) / std::exp(e.old[i]);
    const double held = std::min(std::max(ratio, 1 - options.clip), 1 + options.clip);
    const double gain = std::min(ratio * e.advantage[i], held * e.advantage[i]);
    loss +=
        e.weight[i] * (-gain + options.kl_weight * kl(options.kl, e.log_prob[i], e.reference[i]));
  }
  return loss;
}

TEST(GrpoLoss, ValueAndGradientMatchTheLiteralFormula) {
  Rng rng(4);
  for (const char* estimator : {"k1", "k2", "k3"}) {
    for (int trial = 0; trial < 20; ++trial) {
      const GrpoLossOptions options{.clip = 0.2, .kl_weight = 0.3, .kl = estimator};
      Example e = random_example(rng, 12);
      at::Tensor log_prob_n;
      const auto out = grpo_loss(tensors(e, log_prob_n), options);
      EXPECT_NEAR(out.loss.item<double>(), literal_loss(e, options), 1e-12);
      out.loss.backward();
      for (size_t i = 0; i < e.old.size(); ++i) {
        constexpr double h = 1e-6;  // central differences: error h^2 + 1e-16 / h
        Example up = e, down = e;
        up.log_prob[i] += h;
        down.log_prob[i] -= h;
        EXPECT_NEAR(log_prob_n.grad()[static_cast<int64_t>(i)].item<double>(),
                    (literal_loss(up, options) - literal_loss(down, options)) / (2 * h), 1e-8)
            << estimator << " token " << i;
      }
    }
  }
}

TEST(GrpoLoss, AtRatioOneTheGradientIsThatOfReinforce) {
  Rng rng(5);
  Example e = random_example(rng, 30);
  e.old = e.log_prob;
  at::Tensor log_prob_n;
  grpo_loss(tensors(e, log_prob_n), {}).loss.backward();
  for (size_t i = 0; i < e.old.size(); ++i) {
    EXPECT_DOUBLE_EQ(log_prob_n.grad()[static_cast<int64_t>(i)].item<double>(),
                     -e.weight[i] * e.advantage[i]);
  }
}

TEST(GrpoLoss, TokensWithoutWeightMoveNothing) {
  Rng rng(6);
  Example e = random_example(rng, 10);
  at::Tensor log_prob_n, changed_n;
  const auto out = grpo_loss(tensors(e, log_prob_n), {.kl_weight = 0.1});
  Example other = e;
  for (size_t i = 0; i < e.old.size(); ++i) {
    if (e.weight[i] == 0) other.advantage[i] = 1e6, other.old[i] -= 2;
  }
  const auto same = grpo_loss(tensors(other, changed_n), {.kl_weight = 0.1});
  EXPECT_EQ(out.loss.item<double>(), same.loss.item<double>());
  EXPECT_EQ(out.clipped, same.clipped);
}

TEST(GrpoLoss, ClippedIsTheWeightWhereTheClipHolds) {
  const Example e = {.log_prob = {std::log(1.5), std::log(1.5), std::log(0.5), 0},
                     .old = {0, 0, 0, 0},
                     .reference = {0, 0, 0, 0},
                     .advantage = {1, -1, -1, 1},
                     .weight = {0.1, 0.2, 0.3, 0.4}};
  at::Tensor log_prob_n;
  EXPECT_NEAR(grpo_loss(tensors(e, log_prob_n), {}).clipped, 0.4, 1e-7);
}

TEST(KlEstimate, IsUnbiasedForK1AndK3AndNeverNegativeForK3) {
  // Two distributions over 5 tokens; expectations under the policy, exactly.
  const std::vector<double> p = {0.1, 0.3, 0.2, 0.25, 0.15}, ref = {0.2, 0.2, 0.25, 0.05, 0.3};
  const auto p_n = torch::tensor(p, torch::kDouble), ref_n = torch::tensor(ref, torch::kDouble);
  double truth = 0;
  for (size_t i = 0; i < p.size(); ++i) truth += p[i] * std::log(p[i] / ref[i]);
  for (const char* estimator : {"k1", "k3"}) {
    const auto k_n = kl_estimate(estimator, p_n.log(), ref_n.log());
    EXPECT_NEAR((p_n * k_n).sum().item<double>(), truth, 1e-12) << estimator;
  }
  EXPECT_GE(kl_estimate("k3", p_n.log(), ref_n.log()).min().item<double>(), 0);
  EXPECT_NEAR(kl_estimate("k2", p_n.log(), ref_n.log())[0].item<double>(),
              0.5 * std::pow(std::log(0.5), 2), 1e-12);
}

TEST(RowTokenWeights, OfScoredTokensSumToOne) {
  const std::vector<int64_t> tokens = {3, 7, 1, 5};
  const std::vector<bool> scored = {true, false, true, true};
  const auto by_row = row_token_weights("row", tokens, scored);
  const auto by_token = row_token_weights("token", tokens, scored);
  EXPECT_DOUBLE_EQ(by_row[0], 1.0 / 9);
  EXPECT_DOUBLE_EQ(by_row[2], 1.0 / 3);
  EXPECT_DOUBLE_EQ(by_token[0], 1.0 / 9);
  EXPECT_DOUBLE_EQ(by_token[3], 1.0 / 9);
  EXPECT_EQ(by_row[1], 0);
  EXPECT_EQ(by_token[1], 0);
  for (const auto& weights : {by_row, by_token}) {
    double sum = 0;
    for (size_t r = 0; r < tokens.size(); ++r) sum += weights[r] * static_cast<double>(tokens[r]);
    EXPECT_DOUBLE_EQ(sum, 1);
  }
}

}  // namespace
}  // namespace l2a
