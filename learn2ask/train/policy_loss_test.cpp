#include "train/policy_loss.h"

#include <algorithm>
#include <cmath>

#include <gtest/gtest.h>
#include <torch/autograd.h>
#include <torch/types.h>

#include "base/rng.h"

namespace l2a {
namespace {

// Everything in double, so that only the formula is compared.
struct Example {
  std::vector<int64_t> tokens_of_row;
  std::vector<double> log_prob, old, reference, entropy, advantage, weight;

  size_t size() const { return old.size(); }
};

Example random_example(Rng& rng, std::vector<int64_t> tokens_of_row) {
  Example e;
  for (const int64_t tokens : tokens_of_row) {
    for (int64_t t = 0; t < tokens; ++t) {
      const double old = -3 * rng.uniform();
      e.old.push_back(old);
      e.log_prob.push_back(old + rng.uniform() - 0.5);  // ratios in [0.6, 1.65]
      e.reference.push_back(old + rng.uniform() - 0.5);
      e.entropy.push_back(rng.uniform());
      e.advantage.push_back(4 * rng.uniform() - 2);
      e.weight.push_back(rng.chance(0.2) ? 0 : rng.uniform());
    }
  }
  e.tokens_of_row = std::move(tokens_of_row);
  return e;
}

struct Leaves {
  at::Tensor log_prob_n, entropy_n;
};

PolicyLossInputs tensors(const Example& e, Leaves& leaves) {
  leaves.log_prob_n = torch::tensor(e.log_prob, torch::kDouble).requires_grad_(true);
  leaves.entropy_n = torch::tensor(e.entropy, torch::kDouble).requires_grad_(true);
  return {.tokens = {.log_prob_n = leaves.log_prob_n,
                     .old_n = torch::tensor(e.old, torch::kDouble),
                     .advantage_n = torch::tensor(e.advantage, torch::kDouble),
                     .tokens_of_row = e.tokens_of_row},
          .entropy_n = leaves.entropy_n,
          .reference_n = torch::tensor(e.reference, torch::kDouble),
          .weight_n = torch::tensor(e.weight, torch::kDouble)};
}

double kl(const std::string& estimator, double log_prob, double reference) {
  const double p_over_ref = std::exp(log_prob - reference);
  if (estimator == "k1") return std::log(p_over_ref);
  if (estimator == "k2") return 0.5 * std::pow(std::log(p_over_ref), 2);
  return 1 / p_over_ref - 1 - std::log(1 / p_over_ref);
}

double held(double ratio, const PolicyLossOptions& options) {
  return std::min(std::max(ratio, 1 - options.clip), 1 + options.clip_high);
}

// pi(reply)^(1/|reply|) / old(reply)^(1/|reply|), of the row that token `i` is in.
double row_ratio(const Example& e, size_t i) {
  size_t begin = 0, row = 0;
  while (begin + static_cast<size_t>(e.tokens_of_row[row]) <= i) {
    begin += static_cast<size_t>(e.tokens_of_row[row++]);
  }
  const auto length = static_cast<size_t>(e.tokens_of_row[row]);
  double now = 1, before = 1;
  for (size_t t = begin; t < begin + length; ++t) {
    now *= std::exp(e.log_prob[t]);
    before *= std::exp(e.old[t]);
  }
  return std::pow(now / before, 1.0 / static_cast<double>(length));
}

// The objective's term, less its sign. `frozen`: the log-probabilities that no gradient goes
// through.
double gain(const Example& e, const Example& frozen, size_t i, const PolicyLossOptions& options) {
  if (options.objective == "reinforce") return e.advantage[i] * e.log_prob[i];
  const double ratio = std::exp(e.log_prob[i]) / std::exp(e.old[i]);
  if (options.objective == "cispo") {
    const double frozen_ratio = std::exp(frozen.log_prob[i]) / std::exp(e.old[i]);
    return held(frozen_ratio, options) * e.advantage[i] * e.log_prob[i];
  }
  const double r = options.objective == "gspo" ? row_ratio(e, i) : ratio;
  return std::min(r * e.advantage[i], held(r, options) * e.advantage[i]);
}

double literal_loss(const Example& e, const Example& frozen, const PolicyLossOptions& options) {
  double loss = 0;
  for (size_t i = 0; i < e.size(); ++i) {
    loss += e.weight[i] * (-gain(e, frozen, i, options) +
                           options.kl_weight * kl(options.kl, e.log_prob[i], e.reference[i]) -
                           options.entropy_weight * e.entropy[i]);
  }
  return loss;
}

constexpr const char* kObjectives[] = {"clip", "gspo", "cispo", "reinforce"};

TEST(PolicyLoss, ValueAndGradientMatchTheLiteralFormula) {
  Rng rng(4);
  for (const char* objective : kObjectives) {
    for (const char* estimator : {"k1", "k2", "k3"}) {
      for (int trial = 0; trial < 20; ++trial) {
        PolicyLossOptions options;
        options.objective = objective;
        options.clip = objective == std::string("gspo") ? 0.05 : 0.2;
        options.clip_high = 0.28 * options.clip / 0.2;
        options.kl_weight = 0.3;
        options.kl = estimator;
        options.entropy_weight = 0.7;
        const Example e = random_example(rng, {3, 1, 5, 4});
        Leaves leaves;
        const auto out = policy_loss(tensors(e, leaves), options);
        EXPECT_NEAR(out.loss.item<double>(), literal_loss(e, e, options), 1e-12) << objective;
        out.loss.backward();
        for (size_t i = 0; i < e.size(); ++i) {
          constexpr double h = 1e-6;  // central differences: error h^2 + 1e-16 / h
          Example up = e, down = e;
          up.log_prob[i] += h;
          down.log_prob[i] -= h;
          const auto at = static_cast<int64_t>(i);
          EXPECT_NEAR(leaves.log_prob_n.grad()[at].item<double>(),
                      (literal_loss(up, e, options) - literal_loss(down, e, options)) / (2 * h),
                      1e-8)
              << objective << " " << estimator << " token " << i;
          EXPECT_DOUBLE_EQ(leaves.entropy_n.grad()[at].item<double>(), -0.7 * e.weight[i]);
        }
      }
    }
  }
}

// In gspo a reply's tokens share its ratio: their gradients are their mean.
TEST(PolicyLoss, AtRatioOneTheGradientIsThatOfReinforce) {
  Rng rng(5);
  Example e = random_example(rng, {7, 4, 1, 9});
  e.old = e.log_prob;
  size_t first = 0;
  for (const int64_t tokens : e.tokens_of_row) {
    for (size_t t = first; t < first + static_cast<size_t>(tokens); ++t) {
      e.advantage[t] = e.advantage[first];
      e.weight[t] = e.weight[first];
    }
    first += static_cast<size_t>(tokens);
  }
  for (const char* objective : kObjectives) {
    Leaves leaves;
    policy_loss(tensors(e, leaves), {.objective = objective}).loss.backward();
    for (size_t i = 0; i < e.size(); ++i) {
      EXPECT_NEAR(leaves.log_prob_n.grad()[static_cast<int64_t>(i)].item<double>(),
                  -e.weight[i] * e.advantage[i], 1e-15)
          << objective;
    }
  }
}

TEST(PolicyLoss, TokensWithoutWeightMoveNothing) {
  Rng rng(6);
  const Example e = random_example(rng, {1, 1, 1, 1, 1, 1, 1, 1, 1, 1});
  Example other = e;
  for (size_t i = 0; i < e.size(); ++i) {
    if (e.weight[i] == 0) other.advantage[i] = 1e6, other.old[i] -= 2;
  }
  for (const char* objective : kObjectives) {
    const PolicyLossOptions options = {.objective = objective, .kl_weight = 0.1};
    Leaves leaves;
    const auto out = policy_loss(tensors(e, leaves), options);
    const auto same = policy_loss(tensors(other, leaves), options);
    EXPECT_EQ(out.loss.item<double>(), same.loss.item<double>());
    EXPECT_EQ(out.clipped, same.clipped);
  }
}

TEST(PolicyLoss, ClippedIsTheWeightWhereTheClipHolds) {
  const Example e = {.tokens_of_row = {1, 1, 1, 1},
                     .log_prob = {std::log(1.5), std::log(1.5), std::log(0.5), 0},
                     .old = {0, 0, 0, 0},
                     .reference = {0, 0, 0, 0},
                     .entropy = {0, 0, 0, 0},
                     .advantage = {1, -1, -1, 1},
                     .weight = {0.1, 0.2, 0.3, 0.4}};
  Leaves leaves;
  const auto clipped = [&](const PolicyLossOptions& options) {
    return policy_loss(tensors(e, leaves), options).clipped;
  };
  EXPECT_NEAR(clipped({}), 0.4, 1e-7);
  EXPECT_NEAR(clipped({.clip_high = 0.6}), 0.3, 1e-7);
  EXPECT_NEAR(clipped({.objective = "gspo"}), 0.4, 1e-7);
  EXPECT_NEAR(clipped({.objective = "cispo"}), 0.6, 1e-7);
  EXPECT_EQ(clipped({.objective = "reinforce"}), 0);
}

TEST(PolicyLoss, HasNoKlWhereThatGoesToTheReward) {
  Rng rng(7);
  const Example e = random_example(rng, {6});
  Leaves leaves;
  const auto without = policy_loss(tensors(e, leaves), {});
  const auto in_reward = policy_loss(tensors(e, leaves), {.kl_weight = 0.5, .kl_in = "reward"});
  EXPECT_EQ(in_reward.loss.item<double>(), without.loss.item<double>());
  EXPECT_EQ(in_reward.kl, 0);
}

}  // namespace
}  // namespace l2a
