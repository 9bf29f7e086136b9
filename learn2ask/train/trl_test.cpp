// Losses and their gradients against TRL's GRPOTrainer and RLOOTrainer on the same tensors
// (tests/reference/trl_losses.py).

#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <torch/autograd.h>
#include <torch/types.h>

#include "base/rng.h"
#include "train/policy_loss.h"
#include "train/testing.h"
#include "train/token_weights.h"

namespace l2a {
namespace {

constexpr int64_t kLongest = 12;

struct Variant {
  const char* name;
  PolicyLossOptions ours;
  const char* loss_type;  // TRL's
  const char* level = "token";
  double epsilon_high = 0.28;
  bool on_policy = false;  // the policy is the one that sampled
};

const std::vector<Variant> kVariants = {
    {"grpo", {.clip = 0.2}, "grpo", "token", 0.2},
    {"grpo with KL", {.clip = 0.2, .kl_weight = 0.3}, "grpo", "token", 0.2},
    {"dr_grpo", {.clip = 0.2, .normalise = "constant"}, "dr_grpo", "token", 0.2},
    {"dapo", {.clip = 0.2, .clip_high = 0.28, .normalise = "token"}, "dapo"},
    {"bnpo", {.clip = 0.2, .clip_high = 0.28, .normalise = "token"}, "bnpo"},
    {"gspo", {.objective = "gspo", .clip = 0.2, .clip_high = 0.28}, "grpo", "sequence"},
    {"gspo with KL",
     {.objective = "gspo", .clip = 0.2, .clip_high = 0.28, .kl_weight = 0.2},
     "grpo",
     "sequence"},
    // TRL's bound is of the ratio itself; it has none below.
    {"cispo",
     {.objective = "cispo", .clip = 1, .clip_high = 0.28, .normalise = "token"},
     "cispo",
     "token",
     1.28},
    // TRL's entropy bonus is a mean over all tokens whatever the loss: ours is with "token".
    {"dapo with entropy",
     {.clip = 0.2, .clip_high = 0.28, .normalise = "token", .entropy_weight = 0.4},
     "dapo"},
    // The ratio of a whole reply: the gradient of REINFORCE, summed over its tokens, as long as no
    // step was taken. With "constant" that sum is divided by the longest reply.
    {"rloo", {.objective = "reinforce", .normalise = "constant"}, "rloo", "sequence", 0.2, true},
};

struct Row {
  std::vector<double> log_prob, old, reference, entropy;
  double advantage = 0;
};

std::vector<Row> random_rows(Rng& rng, bool on_policy) {
  std::vector<Row> rows(1 + rng.below(6));
  for (Row& row : rows) {
    row.advantage = 4 * rng.uniform() - 2;
    const uint64_t tokens = 1 + rng.below(kLongest);
    for (uint64_t t = 0; t < tokens; ++t) {
      row.old.push_back(-3 * rng.uniform());
      const double moved = on_policy ? 0 : rng.uniform() - 0.5;  // ratios in [0.6, 1.65]
      row.log_prob.push_back(row.old.back() + moved);
      row.entropy.push_back(rng.uniform());
      row.reference.push_back(row.old.back() + rng.uniform() - 0.5);
    }
  }
  return rows;
}

Json case_of(const Variant& variant, const std::vector<Row>& rows) {
  Json out = {{"loss_type", variant.loss_type},
              {"level", variant.level},
              {"epsilon", variant.ours.clip},
              {"epsilon_high", variant.epsilon_high},
              {"beta", variant.ours.kl_weight},
              {"entropy_weight", variant.ours.entropy_weight},
              {"longest", kLongest},
              {"rows", Json::array()}};
  for (const Row& row : rows) {
    out["rows"].push_back({{"log_prob", row.log_prob},
                           {"old", row.old},
                           {"reference", row.reference},
                           {"entropy", row.entropy},
                           {"advantage", row.advantage}});
  }
  return out;
}

void expect_same(const Variant& variant, const std::vector<Row>& rows, const Json& theirs) {
  std::vector<int64_t> tokens;
  for (const Row& row : rows) tokens.push_back(static_cast<int64_t>(row.old.size()));
  const auto weights = row_token_weights(variant.ours.normalise, tokens,
                                         std::vector<bool>(rows.size(), true), kLongest);
  std::vector<double> log_prob, old, reference, entropy, advantage, weight;
  for (size_t r = 0; r < rows.size(); ++r) {
    const Row& row = rows[r];
    log_prob.insert(log_prob.end(), row.log_prob.begin(), row.log_prob.end());
    old.insert(old.end(), row.old.begin(), row.old.end());
    reference.insert(reference.end(), row.reference.begin(), row.reference.end());
    entropy.insert(entropy.end(), row.entropy.begin(), row.entropy.end());
    advantage.insert(advantage.end(), row.old.size(), row.advantage);
    weight.insert(weight.end(), row.old.size(), weights[r]);
  }
  const auto tensor = [](const std::vector<double>& x) { return torch::tensor(x, torch::kDouble); };
  const auto log_prob_n = tensor(log_prob).requires_grad_(true);
  const auto entropy_n = tensor(entropy).requires_grad_(true);
  const auto out = policy_loss({.tokens = {.log_prob_n = log_prob_n,
                                           .old_n = tensor(old),
                                           .advantage_n = tensor(advantage),
                                           .tokens_of_row = tokens},
                                .entropy_n = entropy_n,
                                .reference_n = tensor(reference),
                                .weight_n = tensor(weight)},
                               variant.ours);
  out.loss.backward();
  const auto expect_gradient = [&](const at::Tensor& x_n, const char* key, double scale) {
    const auto gradient = scale * tensor(theirs[key].get<std::vector<double>>());
    const auto ours = x_n.grad().defined() ? x_n.grad() : at::zeros_like(x_n);
    EXPECT_LT((ours - gradient).abs().max().item<double>(), 1e-12) << variant.name << " " << key;
  };
  if (variant.on_policy) {  // another loss with the same gradient
    expect_gradient(log_prob_n, "gradient", 1.0 / kLongest);
    return;
  }
  EXPECT_NEAR(out.loss.item<double>(), theirs["loss"].get<double>(), 1e-12) << variant.name;
  expect_gradient(log_prob_n, "gradient", 1);
  expect_gradient(entropy_n, "entropy_gradient", 1);
}

TEST(Trl, HasTheSameLossesAndGradients) {
  if (!testing::has_python()) GTEST_SKIP() << "no private Python environment (tools/dev)";
  Rng rng(1);
  std::vector<std::pair<const Variant*, std::vector<Row>>> examples;
  Json cases = Json::array();
  for (const Variant& variant : kVariants) {
    for (int trial = 0; trial < 20; ++trial) {
      examples.emplace_back(&variant, random_rows(rng, variant.on_policy));
      cases.push_back(case_of(variant, examples.back().second));
    }
  }
  const Json theirs = testing::reference_answers("trl_losses.py", cases);
  ASSERT_EQ(theirs.size(), examples.size());
  for (size_t i = 0; i < examples.size(); ++i) {
    expect_same(*examples[i].first, examples[i].second, theirs[i]);
  }
}

}  // namespace
}  // namespace l2a
