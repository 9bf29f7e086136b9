#include "train/grpo_update.h"

#include <algorithm>
#include <optional>

#include <torch/torch.h>

#include "train/token_weights.h"
#include "train/verify_tree.h"

namespace l2a {
namespace {

// A tree with all that its loss needs but the policy's own log-probabilities.
struct PreparedTree {
  RowTree tree;
  std::vector<int64_t> tokens_of_row;
  at::Tensor advantage_n, weight_n, sampled_n;
  at::Tensor reference_n;  // undefined without a KL penalty in the loss
  at::Tensor old_n;        // undefined when there is one update: the ratio is 1
};

// Sums over all passes; entropy and sampler gap over the tokens of the first.
struct Totals {
  double loss = 0, kl = 0, clipped = 0, weight = 0, grad_norm = 0, lr = 0;
  double entropy = 0, sampler_gap = 0, sampler_gap_max = 0;
  int64_t targets = 0, tokens = 0, recharged = 0, updates = 0;
};

// Each token's advantage.
at::Tensor spread_advantages(const RowTree& tree, const PolicyRows& policy, at::Device device) {
  std::vector<float> values;
  values.reserve(tree.targets.size());
  for (const size_t r : tree.rows) {
    values.push_back(static_cast<float>(policy.first_advantages[r]));
    values.insert(values.end(), static_cast<size_t>(policy.rows[r].targets() - 1),
                  static_cast<float>(policy.advantages[r]));
  }
  return torch::tensor(values, at::kFloat).to(device);
}

PreparedTree prepare(const PolicyRows& policy, std::vector<size_t> chosen,
                     const TrainerSetup& setup, const LoraAdapter* reference,
                     const GrpoOptions& options, const LoraAdapter& adapter) {
  PreparedTree out;
  out.tree = make_row_tree(policy.rows, std::move(chosen));
  if (reference != nullptr) {
    out.reference_n = frozen_log_probs(setup.model, reference, out.tree, options.temperature);
  }
  if (options.inner_epochs * options.minibatches > 1) {
    out.old_n = frozen_log_probs(setup.model, &adapter, out.tree, options.temperature);
  }
  const at::Device device(setup.model.options().device);
  out.tokens_of_row = targets_of_rows(out.tree, policy.rows);
  out.advantage_n = spread_advantages(out.tree, policy, device);
  out.weight_n = spread_to_targets(out.tree, policy.rows, policy.token_weights, device);
  std::vector<float> sampled;
  for (const size_t r : out.tree.rows) {
    sampled.insert(sampled.end(), policy.sampled[r].begin(), policy.sampled[r].end());
  }
  out.sampled_n = torch::tensor(sampled, at::kFloat).to(device);
  return out;
}

// Forward and backward of one tree.
void learn(const PreparedTree& tree, const TrainerSetup& setup, const GrpoOptions& options,
           const LoraAdapter& adapter, bool first_pass, Totals& totals) {
  const auto head = target_log_probs(setup.model, &adapter, tree.tree, options.temperature);
  const auto old_n = tree.old_n.defined() ? tree.old_n : head.log_prob_n.detach();
  const auto out = policy_loss({.tokens = {.log_prob_n = head.log_prob_n,
                                           .old_n = old_n,
                                           .advantage_n = tree.advantage_n,
                                           .tokens_of_row = tree.tokens_of_row},
                                .entropy_n = head.entropy_n,
                                .reference_n = tree.reference_n,
                                .weight_n = tree.weight_n},
                               options.loss);
  out.loss.backward();
  totals.loss += out.loss.item<double>();
  totals.kl += out.kl;
  totals.clipped += out.clipped;
  totals.weight += tree.weight_n.sum().item<double>();
  if (!first_pass) return;
  const auto gap_n = (old_n - tree.sampled_n).abs();
  totals.entropy += head.entropy_n.detach().sum().item<double>();
  totals.sampler_gap += gap_n.sum().item<double>();
  totals.sampler_gap_max = std::max(totals.sampler_gap_max, gap_n.max().item<double>());
  totals.targets += gap_n.numel();
}

Json to_json(const Totals& t, bool has_kl) {
  if (t.updates == 0) {
    return {{"loss", nullptr},
            {"kl", nullptr},
            {"entropy", nullptr},
            {"clipped", nullptr},
            {"grad_norm", nullptr},
            {"lr", nullptr},
            {"sampler_gap", nullptr},
            {"sampler_gap_max", nullptr},
            {"tokens", 0},
            {"recharged_tokens", 0}};
  }
  const auto n = static_cast<double>(t.targets), u = static_cast<double>(t.updates);
  return {{"loss", t.loss / u},
          {"kl", has_kl ? Json(t.kl / t.weight) : Json()},
          {"entropy", t.entropy / n},
          {"clipped", t.clipped / t.weight},
          {"grad_norm", t.grad_norm / u},
          {"lr", t.lr},
          {"sampler_gap", t.sampler_gap / n},
          {"sampler_gap_max", t.sampler_gap_max},
          {"tokens", t.tokens},
          {"recharged_tokens", t.recharged}};
}

// The groups cut into `count` runs of nearly the same size, whole sessions where that allows.
std::vector<std::span<const ReplyGroup>> cut(std::span<const ReplyGroup> groups, int64_t count) {
  std::vector<std::span<const ReplyGroup>> parts;
  const size_t n = groups.size(), pieces = static_cast<size_t>(count);
  for (size_t i = 0; i < pieces; ++i) {
    const size_t begin = n * i / pieces, end = n * (i + 1) / pieces;
    if (end > begin) parts.push_back(groups.subspan(begin, end - begin));
  }
  return parts;
}

}  // namespace

PolicyRows policy_rows(std::span<const ReplyGroup> groups, const GrpoOptions& options) {
  std::vector<int64_t> lengths;
  std::vector<bool> counted;
  for (const ReplyGroup& group : groups) {
    for (size_t g = 0; g < group.replies.size(); ++g) {
      lengths.push_back(static_cast<int64_t>(group.replies[g].ids.size()));
      counted.push_back(counts(group, g, options));
    }
  }
  const auto weights =
      row_token_weights(options.loss.normalise, lengths, counted, options.max_reply_tokens);

  PolicyRows out;
  size_t index = 0;
  for (size_t i = 0; i < groups.size(); ++i) {
    const ReplyGroup& group = groups[i];
    const bool idle = group.zero_variance && !options.loss.pulls_without_advantage();
    for (size_t g = 0; g < group.replies.size(); ++g, ++index) {
      if (idle || !counted[index]) continue;
      out.rows.push_back(training_row(group, g, static_cast<int64_t>(i)));
      out.advantages.push_back(group.advantages[g]);
      out.first_advantages.push_back(group.first_advantages[g]);
      out.token_weights.push_back(weights[index]);
      out.sampled.push_back(group.replies[g].log_probs);
    }
  }
  return out;
}

Json update_policy(std::span<const ReplyGroup> groups, const TrainerSetup& setup,
                   const LoraAdapter* reference, const GrpoOptions& options, LoraAdapter& adapter,
                   TrainingRun& run) {
  Totals totals;
  bool verified = !run.verifies();
  std::vector<std::vector<PreparedTree>> batches;
  for (const auto part : cut(groups, options.minibatches)) {
    const PolicyRows policy = policy_rows(part, options);
    if (policy.rows.empty()) continue;
    if (!verified) verify_tree(setup.model, adapter, policy.rows, policy.advantages);
    verified = true;
    const auto plan = plan_trees(policy.rows, options.loop.token_budget);
    totals.tokens += plan.tokens;
    totals.recharged += plan.recharged_tokens;
    batches.emplace_back();
    for (const auto& chosen : plan.trees) {
      batches.back().push_back(prepare(policy, chosen, setup, reference, options, adapter));
    }
  }
  for (int64_t epoch = 0; epoch < options.inner_epochs; ++epoch) {
    for (const auto& batch : batches) {
      const double before = totals.loss;
      for (const auto& tree : batch) learn(tree, setup, options, adapter, epoch == 0, totals);
      const auto update = run.update(totals.loss - before);
      totals.grad_norm += update.grad_norm;
      totals.lr = update.lr;
      ++totals.updates;
    }
  }
  return to_json(totals, reference != nullptr);
}

}  // namespace l2a
