#include "train/grpo_update.h"

#include <torch/autograd.h>
#include <torch/types.h>

#include "train/policy_rows.h"
#include "train/sampler_gap.h"
#include "train/verify_tree.h"

namespace l2a {
namespace {

// A tree with all that its loss needs but the policy's own log-probabilities.
struct PreparedTree {
  RowTree tree;
  // Of sampled replies. Shape suffix: s their tokens, among the tree's n targets.
  at::Tensor sampled_places_s;  // indices of targets
  std::vector<int64_t> tokens_of_row;
  at::Tensor advantage_s, weight_s, sampled_s;
  at::Tensor reference_s;  // undefined without a KL penalty in the loss
  at::Tensor old_s;        // undefined when there is one update: the ratio is 1
  at::Tensor imitation_n;  // undefined without sft_weight
};

// Sums over all passes; entropy and sampler gap over the tokens of the first.
struct Totals {
  double loss = 0, imitation = 0, kl = 0, clipped = 0, weight = 0, grad_norm = 0, lr = 0;
  double entropy = 0;
  SamplerGap sampler_gap;
  int64_t tokens = 0, recharged = 0, updates = 0;
};

PreparedTree prepare(const PolicyRows& policy, std::vector<size_t> chosen,
                     const TrainerSetup& setup, const TrainedWeights* reference,
                     const GrpoOptions& options, const TrainedWeights& trained) {
  PreparedTree out;
  out.tree = make_row_tree(policy.rows, std::move(chosen));
  std::vector<int64_t> places;
  std::vector<float> advantages, weights, sampled;
  int64_t place = 0;
  for (const size_t r : out.tree.rows) {
    const int64_t targets = policy.rows[r].targets();
    const bool expert = policy.is_expert(r);
    for (int64_t t = 0; t < targets && !expert; ++t) {
      places.push_back(place + t);
      const double advantage = t == 0 ? policy.first_advantages[r] : policy.advantages[r];
      advantages.push_back(static_cast<float>(advantage));
      weights.push_back(static_cast<float>(policy.token_weights[r]));
    }
    if (!expert) out.tokens_of_row.push_back(targets);
    sampled.insert(sampled.end(), policy.sampled[r].begin(), policy.sampled[r].end());
    place += targets;
  }
  const at::Device device(setup.model.options().device);
  out.sampled_places_s = torch::tensor(places, at::kLong).to(device);
  out.advantage_s = torch::tensor(advantages, at::kFloat).to(device);
  out.weight_s = torch::tensor(weights, at::kFloat).to(device);
  out.sampled_s = torch::tensor(sampled, at::kFloat).to(device);
  if (options.sft_weight > 0) {
    out.imitation_n = spread_to_targets(out.tree, policy.rows, policy.imitation_weights, device);
  }
  const auto of_policy = [&](const TrainedWeights* with) {
    return frozen_log_probs(setup.model, with, out.tree, options.replies.temperature)
        .index_select(0, out.sampled_places_s);
  };
  if (reference != nullptr) out.reference_s = of_policy(reference);
  if (options.inner_epochs * options.minibatches > 1) {
    out.old_s = options.old_log_probs == "sampler" ? out.sampled_s : of_policy(&trained);
  }
  return out;
}

// The loss of a tree's sampled replies, of which there is at least one.
at::Tensor sampled_loss(const PreparedTree& tree, const HeadOutput& head,
                        const GrpoOptions& options, bool first_pass, Totals& totals) {
  const auto log_prob_s = head.log_prob_n.index_select(0, tree.sampled_places_s);
  const auto entropy_s = head.entropy_n.index_select(0, tree.sampled_places_s);
  const auto old_s = tree.old_s.defined() ? tree.old_s : log_prob_s.detach();
  const auto out = policy_loss({.tokens = {.log_prob_n = log_prob_s,
                                           .old_n = old_s,
                                           .advantage_n = tree.advantage_s,
                                           .tokens_of_row = tree.tokens_of_row},
                                .entropy_n = entropy_s,
                                .reference_n = tree.reference_s,
                                .weight_n = tree.weight_s},
                               options.loss);
  totals.kl += out.kl;
  totals.clipped += out.clipped;
  totals.weight += tree.weight_s.sum().item<double>();
  if (!first_pass) return out.loss;
  // Of the same weights, but for what earlier minibatches have moved where old_s is the sampler's.
  const bool computed = options.old_log_probs == "trainer";
  totals.sampler_gap.add(computed ? old_s : log_prob_s, tree.sampled_s);
  totals.entropy += entropy_s.detach().sum().item<double>();
  return out.loss;
}

// Forward and backward of one tree.
void learn(const PreparedTree& tree, const TrainerSetup& setup, const GrpoOptions& options,
           const TrainedWeights& trained, bool first_pass, Totals& totals) {
  const auto head = target_log_probs(setup.model, &trained, tree.tree, options.replies.temperature);
  at::Tensor loss = at::zeros({}, head.log_prob_n.options().requires_grad(false));
  if (!tree.tokens_of_row.empty()) {
    loss = loss + sampled_loss(tree, head, options, first_pass, totals);
  }
  if (tree.imitation_n.defined()) {
    const auto imitation = -(head.log_prob_n * tree.imitation_n).sum();
    totals.imitation += imitation.item<double>();
    loss = loss + imitation;
  }
  loss.backward();
  totals.loss += loss.item<double>();
}

Json to_json(const Totals& t, bool has_kl, bool imitates) {
  Json out = t.sampler_gap.to_json();
  if (t.updates == 0) {
    for (const char* key : {"loss", "kl", "entropy", "clipped", "grad_norm", "lr"}) {
      out[key] = nullptr;
    }
    out.update({{"tokens", 0}, {"recharged_tokens", 0}});
    return out;
  }
  const auto n = static_cast<double>(t.sampler_gap.tokens()), u = static_cast<double>(t.updates);
  const auto mean = [](double sum, double of) { return of > 0 ? Json(sum / of) : Json(); };
  out.update({{"loss", t.loss / u},
              {"kl", has_kl ? mean(t.kl, t.weight) : Json()},
              {"entropy", mean(t.entropy, n)},
              {"clipped", mean(t.clipped, t.weight)},
              {"grad_norm", t.grad_norm / u},
              {"lr", t.lr},
              {"tokens", t.tokens},
              {"recharged_tokens", t.recharged}});
  if (imitates) out["imitation"] = t.imitation / u;
  return out;
}

// The groups cut into `count` runs of nearly the same size.
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

Json update_policy(std::span<const ReplyGroup> groups, const TrainerSetup& setup,
                   const TrainedWeights* reference, const GrpoOptions& options,
                   TrainedWeights& trained, TrainingRun& run) {
  Totals totals;
  bool verified = false;
  std::vector<std::vector<PreparedTree>> batches;
  for (const auto part : cut(groups, options.minibatches)) {
    const PolicyRows policy = policy_rows(part, setup, options);
    if (policy.rows.empty()) continue;
    if (!verified && run.must_verify()) {
      verify_tree(setup.model, trained, policy.rows, options.loop.token_budget);
    }
    verified = true;
    const auto plan = plan_trees(policy.rows, options.loop.token_budget);
    totals.tokens += plan.tokens;
    totals.recharged += plan.recharged_tokens;
    batches.emplace_back();
    for (const auto& chosen : plan.trees) {
      batches.back().push_back(prepare(policy, chosen, setup, reference, options, trained));
    }
  }
  for (int64_t epoch = 0; epoch < options.inner_epochs; ++epoch) {
    for (const auto& batch : batches) {
      const double before = totals.loss;
      for (const auto& tree : batch) learn(tree, setup, options, trained, epoch == 0, totals);
      const auto update = run.update(totals.loss - before);
      totals.grad_norm += update.grad_norm;
      totals.lr = update.lr;
      ++totals.updates;
    }
  }
  return to_json(totals, reference != nullptr, options.sft_weight > 0);
}

}  // namespace l2a
