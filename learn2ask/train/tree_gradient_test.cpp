// The loss and gradient of session trees are those of the rows computed alone: swept over drawn
// architectures, adapters, trees, budgets and objectives.

#include <cmath>
#include <memory>
#include <numeric>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <torch/autograd.h>
#include <torch/types.h>

#include "model/full_weights.h"
#include "train/policy_loss.h"
#include "train/preference_loss.h"
#include "train/testing.h"
#include "train/token_weights.h"
#include "train/verify_tree.h"

namespace l2a {
namespace {

constexpr int32_t kVocabulary = 101;
constexpr int64_t kLongest = 6;

TransformerConfig random_config(Rng& rng) {
  struct Heads {
    int64_t queries, keys;
  };
  const auto heads = rng.pick(std::vector<Heads>{{6, 6}, {6, 1}, {9, 3}, {5, 5}, {4, 2}});
  TransformerConfig config = testing::tiny_config(heads.queries, heads.keys);
  config.width = rng.pick(std::vector<int64_t>{32, 48, 72});
  config.mlp_width = rng.pick(std::vector<int64_t>{40, 80});
  return rng.chance(0.5) ? testing::with_all_parts(config) : config;
}

std::unique_ptr<TrainedWeights> random_weights(Rng& rng, const Transformer& model) {
  if (rng.chance(0.25)) return std::make_unique<FullWeights>(model);
  const LoraOptions options = {.rank = 1 + static_cast<int64_t>(rng.below(9)),
                               .alpha = 1 + 31 * rng.uniform()};
  return std::make_unique<LoraAdapter>(
      testing::random_adapter(model.config(), options, rng.next()));
}

// Replies to some turns of a few sessions, an even number a turn.
std::vector<TrainingRow> random_rows(Rng& rng) {
  std::vector<TrainingRow> rows;
  const auto add_tokens = [&](std::vector<int32_t>& ids, uint64_t count) {
    while (count-- > 0) ids.push_back(static_cast<int32_t>(rng.below(kVocabulary)));
  };
  int64_t group = 0;
  for (uint64_t session = 1 + rng.below(3); session > 0; --session) {
    std::vector<int32_t> transcript = {1, 2, 3};  // the prompt of all
    for (uint64_t turn = 1 + rng.below(4); turn > 0; --turn, ++group) {
      add_tokens(transcript, 1 + rng.below(12));
      for (uint64_t reply = 2 * (1 + rng.below(2)); reply > 0; --reply) {
        TrainingRow row{.ids = transcript, .context = std::ssize(transcript), .group = group};
        add_tokens(row.ids, 1 + rng.below(kLongest));
        rows.push_back(std::move(row));
      }
    }
  }
  return rows;
}

// An objective and what it is told of each row.
struct Objective {
  PolicyLossOptions policy;
  PreferenceSettings preference;
  std::vector<double> advantage, weight;       // one a row
  std::vector<at::Tensor> old_n, reference_n;  // one a token
  std::vector<bool> good;

  bool is_preference() const { return !preference.objective.empty(); }

  at::Tensor loss(const std::vector<size_t>& rows, const HeadOutput& head) const {
    const auto options = head.log_prob_n.options().requires_grad(false);
    std::vector<int64_t> tokens;
    std::vector<at::Tensor> old, reference, row_advantage, row_weight;
    std::vector<double> good_r, weight_r;
    for (const size_t r : rows) {
      tokens.push_back(old_n[r].numel());
      old.push_back(old_n[r]);
      reference.push_back(reference_n[r]);
      row_advantage.push_back(at::full({tokens.back()}, advantage[r], options));
      row_weight.push_back(at::full({tokens.back()}, weight[r], options));
      good_r.push_back(good[r]);
      weight_r.push_back(std::abs(advantage[r]));
    }
    if (is_preference()) {
      return preference_loss({.log_prob_n = head.log_prob_n,
                              .tokens_of_row = tokens,
                              .reference_r = sums_of_rows(at::cat(reference), tokens),
                              .good_r = torch::tensor(good_r, options) > 0,
                              .weight_r = torch::tensor(weight_r, options)},
                             preference)
          .loss;
    }
    return policy_loss({.tokens = {.log_prob_n = head.log_prob_n,
                                   .old_n = at::cat(old),
                                   .advantage_n = at::cat(row_advantage),
                                   .tokens_of_row = tokens},
                        .entropy_n = head.entropy_n,
                        .reference_n = at::cat(reference),
                        .weight_n = at::cat(row_weight)},
                       policy)
        .loss;
  }
};

// Old and reference policies that are some way from the one of `log_prob_n` (a tensor a row).
Objective random_objective(Rng& rng, const std::string& name,
                           const std::vector<at::Tensor>& log_prob_n) {
  Objective o;
  if (name == "dpo" || name == "ipo" || name == "kto") {
    o.preference = {.objective = name,
                    .beta = 0.05 + rng.uniform(),
                    .kl = rng.uniform(),
                    .imitation_weight = rng.chance(0.5) ? rng.uniform() : 0};
  } else {
    o.policy = {.objective = name,
                .clip = 0.05 + 0.3 * rng.uniform(),
                .clip_high = 0.05 + 0.3 * rng.uniform(),
                .normalise = rng.pick(std::vector<std::string>{"row", "token", "constant"}),
                .kl_weight = rng.chance(0.5) ? rng.uniform() : 0,
                .kl = rng.pick(std::vector<std::string>{"k1", "k2", "k3"}),
                .entropy_weight = rng.chance(0.5) ? rng.uniform() : 0};
  }
  std::vector<int64_t> tokens;
  const auto some_way_from = [&](const at::Tensor& row) {
    auto other = row.clone();
    for (int64_t t = 0; t < row.numel(); ++t) other[t] += rng.uniform() - 0.5;
    return other;
  };
  for (size_t r = 0; r < log_prob_n.size(); ++r) {
    o.advantage.push_back(4 * rng.uniform() - 2);
    o.good.push_back(r % 2 == 0);
    o.old_n.push_back(some_way_from(log_prob_n[r]));
    o.reference_n.push_back(some_way_from(log_prob_n[r]));
    tokens.push_back(log_prob_n[r].numel());
  }
  o.weight = row_token_weights(o.policy.normalise, tokens, std::vector<bool>(tokens.size(), true),
                               kLongest);
  return o;
}

double norm(const std::vector<at::Tensor>& tensors) {
  double squares = 0;
  for (const auto& t : tensors) squares += t.to(at::kDouble).square().sum().item<double>();
  return std::sqrt(squares);
}

// The loss and gradient of all rows, and how far rounding may move them.
struct Sums {
  double loss = 0, loss_limit = 0, gradient_limit = 0;
  std::vector<at::Tensor> gradient;  // float64, one a parameter
};

void add(std::vector<at::Tensor>& sum, const std::vector<at::Tensor>& part) {
  for (size_t i = 0; i < sum.size(); ++i) {
    if (part[i].defined()) sum[i] += part[i].to(at::kDouble);
  }
}

class TreeGradient : public ::testing::TestWithParam<const char*> {
 protected:
  explicit TreeGradient() : rng_(stable_hash(GetParam())) {}

  // What a row's log-probabilities say to the loss is found from all rows' at once; it is then
  // carried back through each row by itself. Rounding moves a row's numbers by `tolerance` of
  // themselves (verify_tree.h).
  Sums alone(const Transformer& model, const TrainedWeights& trained,
             const std::vector<TrainingRow>& rows, const std::vector<HeadOutput>& heads,
             const Objective& objective) const {
    const double tolerance = tree_tolerance(model);
    std::vector<size_t> all(rows.size());
    std::iota(all.begin(), all.end(), size_t{0});
    std::vector<at::Tensor> log_probs, entropies;
    for (const HeadOutput& head : heads) {
      log_probs.push_back(head.log_prob_n.detach());
      entropies.push_back(head.entropy_n.detach());
    }
    const HeadOutput leaves{at::cat(log_probs).requires_grad_(true),
                            at::cat(entropies).requires_grad_(true)};
    const auto loss = objective.loss(all, leaves);
    loss.backward();
    const auto pull = [](const at::Tensor& leaf) {
      return leaf.grad().defined() ? leaf.grad() : at::zeros_like(leaf);
    };
    const auto by_log_prob = pull(leaves.log_prob_n), by_entropy = pull(leaves.entropy_n);

    Sums out{.loss = loss.item<double>(), .gradient = zeros(trained)};
    out.loss_limit = tolerance * ((by_log_prob * leaves.log_prob_n).abs().sum().item<double>() +
                                  (by_entropy * leaves.entropy_n).abs().sum().item<double>());
    int64_t place = 0;
    for (const HeadOutput& head : heads) {
      const int64_t n = head.log_prob_n.numel();
      const auto gradient = torch::autograd::grad(
          {head.log_prob_n, head.entropy_n}, trained.parameters(),
          {by_log_prob.narrow(0, place, n), by_entropy.narrow(0, place, n)}, {}, false, true);
      auto of_row = zeros(trained);
      add(of_row, gradient);
      out.gradient_limit += tolerance * norm(of_row);
      add(out.gradient, of_row);
      place += n;
    }
    return out;
  }

  Sums on_trees(const Transformer& model, const TrainedWeights& trained,
                const std::vector<TrainingRow>& rows, const Objective& objective,
                int64_t token_budget) const {
    Sums out{.gradient = zeros(trained)};
    for (const auto& chosen : plan_trees(rows, token_budget).trees) {
      const auto head =
          target_log_probs(model, &trained, make_row_tree(rows, chosen), kTemperature);
      const auto loss = objective.loss(chosen, head);
      out.loss += loss.item<double>();
      add(out.gradient, torch::autograd::grad({loss}, trained.parameters(), {}, {}, false, true));
    }
    return out;
  }

  static std::vector<at::Tensor> zeros(const TrainedWeights& trained) {
    std::vector<at::Tensor> out;
    for (const auto& p : trained.parameters()) out.push_back(at::zeros(p.sizes(), at::kDouble));
    return out;
  }

  static constexpr double kTemperature = 0.8;
  Rng rng_;
};

TEST_P(TreeGradient, IsThatOfTheRowsAlone) {
  for (int trial = 0; trial < 12; ++trial) {
    const Transformer model =
        Transformer::random(random_config(rng_), testing::float32_options(), rng_.next());
    const auto trained = random_weights(rng_, model);
    const auto rows = random_rows(rng_);
    std::vector<HeadOutput> heads;
    std::vector<at::Tensor> log_probs;
    for (size_t r = 0; r < rows.size(); ++r) {
      heads.push_back(
          target_log_probs(model, trained.get(), make_row_tree(rows, {r}), kTemperature));
      log_probs.push_back(heads.back().log_prob_n.detach());
    }
    const Objective objective = random_objective(rng_, GetParam(), log_probs);
    const Sums expected = alone(model, *trained, rows, heads, objective);
    const int64_t budget = rng_.pick(std::vector<int64_t>{1, 60, 100000});
    const Sums got = on_trees(model, *trained, rows, objective, budget);
    EXPECT_LE(std::abs(got.loss - expected.loss), expected.loss_limit) << "trial " << trial;
    auto difference = got.gradient;
    for (size_t i = 0; i < difference.size(); ++i) difference[i] -= expected.gradient[i];
    EXPECT_LE(norm(difference), expected.gradient_limit) << "trial " << trial;
    EXPECT_GT(norm(expected.gradient), 20 * expected.gradient_limit) << "trial " << trial;
  }
}

INSTANTIATE_TEST_SUITE_P(Objectives, TreeGradient,
                         ::testing::Values("clip", "gspo", "cispo", "reinforce", "dpo", "ipo",
                                           "kto"),
                         [](const auto& of) { return std::string(of.param); });

}  // namespace
}  // namespace l2a
