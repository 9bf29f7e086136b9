#include "train/dpo_update.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include <torch/autograd.h>
#include <torch/types.h>

#include "train/preference_loss.h"
#include "train/sampler_gap.h"
#include "train/verify_tree.h"

namespace l2a {
namespace {

// A tree with all that its loss needs but the policy's own log-probabilities. Shape suffixes: r
// rows of the tree, n their target tokens.
struct JudgedTree {
  RowTree tree;
  std::vector<int64_t> tokens_of_row;
  at::Tensor reference_r;  // log p of the start model
  at::Tensor good_r;       // bool
  at::Tensor weight_r;
};

// Sums over the step's trees.
struct Totals {
  double loss = 0;
  double good_gain = 0, bad_gain = 0, good = 0, bad = 0;  // gains: beta times log-ratio
  double right = 0, pairs = 0;                            // pairs whose chosen reply gained more
  SamplerGap sampler_gap;                                 // of the sampled replies
};

JudgedTree prepare(const JudgedReplies& judged, std::vector<size_t> chosen,
                   const TrainerSetup& setup, const TrainedWeights& reference, double temperature,
                   double compared) {
  JudgedTree out;
  out.tree = make_row_tree(judged.rows, std::move(chosen));
  out.tokens_of_row = targets_of_rows(out.tree, judged.rows);
  out.reference_r = sums_of_rows(frozen_log_probs(setup.model, &reference, out.tree, temperature),
                                 out.tokens_of_row);
  std::vector<float> weights, good;
  for (const size_t r : out.tree.rows) {
    weights.push_back(static_cast<float>(judged.weights[r] / compared));
    good.push_back(judged.good[r] ? 1 : 0);
  }
  const auto device = out.reference_r.device();
  out.weight_r = torch::tensor(weights).to(device);
  out.good_r = torch::tensor(good).to(device) > 0;
  return out;
}

// Mean log-ratio of the replies, as they were sampled; 0 where that is less.
double sampled_kl(const JudgedReplies& judged, const std::vector<JudgedTree>& trees) {
  double sum = 0;
  for (const JudgedTree& tree : trees) {
    sum -= tree.reference_r.sum().item<double>();
    for (const size_t r : tree.tree.rows) {
      sum += std::accumulate(judged.log_probs[r].begin(), judged.log_probs[r].end(), 0.0);
    }
  }
  return std::max(0.0, sum / static_cast<double>(judged.rows.size()));
}

void count(const JudgedTree& tree, const at::Tensor& ratio_r, const DpoOptions& options,
           Totals& totals) {
  const auto gain_r = options.beta * ratio_r;
  const auto sum = [](const at::Tensor& x) { return x.sum().item<double>(); };
  totals.good_gain += sum(gain_r * tree.good_r);
  totals.bad_gain += sum(gain_r * tree.good_r.logical_not());
  totals.good += sum(tree.good_r);
  totals.bad += sum(tree.good_r.logical_not());
  if (options.objective == "kto") return;
  const auto gain_p2 = gain_r.view({-1, 2});
  totals.right += sum(gain_p2.select(1, 0) > gain_p2.select(1, 1));
  totals.pairs += static_cast<double>(gain_p2.size(0));
}

// Of the tree's sampled replies.
void compare_with_sampler(const JudgedReplies& judged, const JudgedTree& tree,
                          const at::Tensor& log_prob_n, SamplerGap& gap) {
  const auto computed_n = log_prob_n.detach().cpu();
  int64_t place = 0;
  for (size_t i = 0; i < tree.tree.rows.size(); ++i) {
    const int64_t tokens = tree.tokens_of_row[i];
    const auto& sampled = judged.log_probs[tree.tree.rows[i]];
    if (!sampled.empty()) gap.add(computed_n.narrow(0, place, tokens), torch::tensor(sampled));
    place += tokens;
  }
}

// Of each token of a good reply, so that they come to `sft_weight` in all.
double imitation_weight(const JudgedReplies& judged, double sft_weight) {
  int64_t tokens = 0;
  for (size_t r = 0; r < judged.rows.size(); ++r) {
    if (judged.good[r]) tokens += judged.rows[r].targets();
  }
  return tokens > 0 ? sft_weight / static_cast<double>(tokens) : 0;
}

Json mean(double sum, double count) { return count > 0 ? Json(sum / count) : Json(); }

}  // namespace

Json update_preferences(const JudgedReplies& judged, const TrainerSetup& setup,
                        const TrainedWeights& reference, const DpoOptions& options,
                        TrainedWeights& trained, TrainingRun& run) {
  const bool pairs = options.objective != "kto";
  const size_t compared = pairs ? judged.rows.size() / 2 : judged.rows.size();
  Json metrics = {{pairs ? "pairs" : "judged", compared}};
  if (options.pairs == "expert") metrics["experts_unscored"] = judged.expert_failures.size();
  if (compared == 0) {
    for (const char* key : {"loss", "good_gain", "bad_gain", "right", "grad_norm", "lr"}) {
      metrics[key] = nullptr;
    }
    metrics.update(SamplerGap().to_json());
    metrics.update({{"tokens", 0}, {"recharged_tokens", 0}});
    return metrics;
  }
  if (run.must_verify()) {
    verify_tree(setup.model, trained, judged.rows, options.loop.token_budget);
  }
  const double temperature = options.replies.temperature;
  const auto plan = plan_trees(judged.rows, options.loop.token_budget);
  std::vector<JudgedTree> trees;
  for (const auto& chosen : plan.trees) {
    trees.push_back(
        prepare(judged, chosen, setup, reference, temperature, static_cast<double>(compared)));
  }
  PreferenceSettings settings{.objective = options.objective, .beta = options.beta};
  if (!pairs) settings.kl = sampled_kl(judged, trees);
  settings.imitation_weight = imitation_weight(judged, options.sft_weight);

  Totals totals;
  for (const JudgedTree& tree : trees) {
    const auto head = target_log_probs(setup.model, &trained, tree.tree, temperature);
    const auto out = preference_loss({.log_prob_n = head.log_prob_n,
                                      .tokens_of_row = tree.tokens_of_row,
                                      .reference_r = tree.reference_r,
                                      .good_r = tree.good_r,
                                      .weight_r = tree.weight_r},
                                     settings);
    out.loss.backward();
    totals.loss += out.loss.item<double>();
    count(tree, out.ratio_r, options, totals);
    compare_with_sampler(judged, tree, head.log_prob_n, totals.sampler_gap);
  }
  const auto update = run.update(totals.loss);
  if (!pairs) metrics["reply_kl"] = settings.kl;
  metrics.update(totals.sampler_gap.to_json());
  metrics.update({{"loss", totals.loss},
                  {"good_gain", mean(totals.good_gain, totals.good)},
                  {"bad_gain", mean(totals.bad_gain, totals.bad)},
                  {"right", mean(totals.right, totals.pairs)},
                  {"grad_norm", update.grad_norm},
                  {"lr", update.lr},
                  {"tokens", plan.tokens},
                  {"recharged_tokens", plan.recharged_tokens}});
  return metrics;
}

}  // namespace l2a
