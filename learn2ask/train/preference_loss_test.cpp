// Objectives and the loss against the papers' formulas in double precision and finite differences,
// and against TRL's DPOTrainer and KTOTrainer on the same tensors
// (tests/reference/trl_preferences.py).

#include "train/preference_loss.h"

#include <cmath>
#include <numeric>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <torch/autograd.h>
#include <torch/types.h>

#include "base/json.h"
#include "base/rng.h"
#include "train/preference_objectives.h"
#include "train/testing.h"

namespace l2a {
namespace {

struct Reply {
  std::vector<double> log_prob = {};
  double reference = 0;
  bool good = false;

  double sum() const { return std::accumulate(log_prob.begin(), log_prob.end(), 0.0); }
  double ratio() const { return sum() - reference; }
  double mean_ratio() const { return ratio() / static_cast<double>(log_prob.size()); }
};

struct Example {
  PreferenceSettings settings;
  double sft_weight = 0, desirable = 1, undesirable = 1;
  std::vector<Reply> replies = {};
};

double sigmoid(double x) { return 1 / (1 + std::exp(-x)); }

Example random_example(const std::string& objective, double sft_weight, Rng& rng) {
  Example out{.settings = {.objective = objective, .beta = 0.05 + rng.uniform()},
              .sft_weight = sft_weight};
  const bool kto = objective == "kto";
  if (kto) {
    out.settings.kl = 3 * rng.uniform();
    out.desirable = 0.5 + rng.uniform();
    out.undesirable = 0.5 + rng.uniform();
  }
  const uint64_t replies = kto ? 1 + rng.below(7) : 2 * (1 + rng.below(4));
  for (uint64_t i = 0; i < replies; ++i) {
    Reply reply{.good = kto ? rng.below(2) == 0 : i % 2 == 0};
    for (uint64_t t = 1 + rng.below(9); t > 0; --t) reply.log_prob.push_back(-3 * rng.uniform());
    reply.reference = reply.sum() + 4 * rng.uniform() - 2;
    out.replies.push_back(reply);
  }
  double tokens = 0;
  for (const Reply& r : out.replies) tokens += r.good ? static_cast<double>(r.log_prob.size()) : 0;
  out.settings.imitation_weight = tokens > 0 ? sft_weight / tokens : 0;
  return out;
}

// The mean loss, from the papers' formulas.
double formula(const Example& e) {
  double loss = 0;
  if (e.settings.objective == "kto") {
    for (const Reply& r : e.replies) {
      const double gain = e.settings.beta * (r.ratio() - e.settings.kl);
      loss += r.good ? e.desirable * (1 - sigmoid(gain)) : e.undesirable * (1 - sigmoid(-gain));
    }
    loss /= static_cast<double>(e.replies.size());
  } else {
    for (size_t i = 0; i < e.replies.size(); i += 2) {
      const Reply &w = e.replies[i], &l = e.replies[i + 1];
      loss += e.settings.objective == "dpo"
                  ? -std::log(sigmoid(e.settings.beta * (w.ratio() - l.ratio())))
                  : std::pow(w.mean_ratio() - l.mean_ratio() - 1 / (2 * e.settings.beta), 2);
    }
    loss /= static_cast<double>(e.replies.size() / 2);
  }
  for (const Reply& r : e.replies) {
    if (r.good) loss -= e.settings.imitation_weight * r.sum();
  }
  return loss;
}

struct LossAndGradient {
  double loss = 0;
  at::Tensor gradient_n;
};

LossAndGradient ours(const Example& e) {
  std::vector<double> log_prob, reference, weight, good;
  std::vector<int64_t> tokens;
  const double count =
      static_cast<double>(e.replies.size()) / (e.settings.objective == "kto" ? 1 : 2);
  for (const Reply& r : e.replies) {
    log_prob.insert(log_prob.end(), r.log_prob.begin(), r.log_prob.end());
    tokens.push_back(static_cast<int64_t>(r.log_prob.size()));
    reference.push_back(r.reference);
    good.push_back(r.good ? 1 : 0);
    weight.push_back((r.good ? e.desirable : e.undesirable) / count);
  }
  const auto tensor = [](const std::vector<double>& x) { return torch::tensor(x, torch::kDouble); };
  const auto log_prob_n = tensor(log_prob).requires_grad_(true);
  const auto out = preference_loss({.log_prob_n = log_prob_n,
                                    .tokens_of_row = tokens,
                                    .reference_r = tensor(reference),
                                    .good_r = tensor(good) > 0,
                                    .weight_r = tensor(weight)},
                                   e.settings);
  out.loss.backward();
  for (size_t i = 0; i < e.replies.size(); ++i) {
    EXPECT_NEAR(out.ratio_r[static_cast<int64_t>(i)].item<double>(), e.replies[i].ratio(), 1e-12);
  }
  return {out.loss.item<double>(), log_prob_n.grad()};
}

std::vector<Example> random_examples() {
  Rng rng(7);
  std::vector<Example> out;
  for (int trial = 0; trial < 30; ++trial) {
    for (const char* objective : {"dpo", "ipo", "kto"}) {
      out.push_back(random_example(objective, 0, rng));
    }
    out.push_back(random_example("dpo", 0.1 + rng.uniform(), rng));
  }
  return out;
}

TEST(PreferenceLoss, IsThePapersFormula) {
  for (Example& e : random_examples()) {
    const auto got = ours(e);
    EXPECT_NEAR(got.loss, formula(e), 1e-12) << e.settings.objective;
    int64_t n = 0;
    for (Reply& reply : e.replies) {
      for (double& x : reply.log_prob) {
        const double kept = x, step = 1e-5;
        x = kept + step;
        const double above = formula(e);
        x = kept - step;
        const double below = formula(e);
        x = kept;
        EXPECT_NEAR(got.gradient_n[n++].item<double>(), (above - below) / (2 * step), 1e-8);
      }
    }
  }
}

TEST(PreferenceLoss, DpoStaysFiniteFarFromTheStartModel) {
  const auto far = torch::tensor({2e4}, torch::kFloat);
  EXPECT_EQ(dpo_objective(far, -far, 1).item<float>(), 0);
  EXPECT_EQ(dpo_objective(-far, far, 1).item<float>(), 4e4F);
}

TEST(PreferenceLoss, IsThatOfTrl) {
  if (!testing::has_python()) GTEST_SKIP() << "no private Python environment (tools/dev)";
  const auto examples = random_examples();
  Json cases = Json::array();
  for (const Example& e : examples) {
    Json replies = Json::array();
    for (const Reply& r : e.replies) {
      replies.push_back({{"log_prob", r.log_prob}, {"reference", r.reference}, {"good", r.good}});
    }
    cases.push_back({{"kind", e.settings.objective},
                     {"beta", e.settings.beta},
                     {"kl", e.settings.kl},
                     {"sft_weight", e.sft_weight},
                     {"desirable_weight", e.desirable},
                     {"undesirable_weight", e.undesirable},
                     {"replies", replies}});
  }
  const Json theirs = testing::reference_answers("trl_preferences.py", cases);
  ASSERT_EQ(theirs.size(), examples.size());
  for (size_t i = 0; i < examples.size(); ++i) {
    const auto got = ours(examples[i]);
    EXPECT_NEAR(got.loss, theirs[i]["loss"].get<double>(), 1e-12);
    const auto gradient_n =
        torch::tensor(theirs[i]["gradient"].get<std::vector<double>>(), torch::kDouble);
    EXPECT_LT((got.gradient_n - gradient_n).abs().max().item<double>(), 1e-12);
  }
}

}  // namespace
}  // namespace l2a
