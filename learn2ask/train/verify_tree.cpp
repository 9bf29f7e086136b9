#include "train/verify_tree.h"

#include <cmath>
#include <numeric>

#include <fmt/format.h>
#include <torch/autograd.h>
#include <torch/types.h>

#include "base/error.h"

namespace l2a {
namespace {

constexpr size_t kMaxRows = 8;

struct LossAndGradient {
  double loss = 0;
  std::vector<at::Tensor> gradient;  // float32, one a parameter
};

LossAndGradient backward(const Transformer& model, const TrainedWeights& trained,
                         std::span<const TrainingRow> rows, std::span<const double> token_weight,
                         std::vector<size_t> chosen) {
  const auto parameters = trained.parameters();
  for (const auto& p : parameters) p.mutable_grad() = at::Tensor();
  const auto tree = make_row_tree(rows, std::move(chosen));
  const auto log_prob_n = target_log_probs(model, &trained, tree, 1).log_prob_n;
  const auto weight_n = spread_to_targets(tree, rows, token_weight, log_prob_n.device());
  const auto loss = (log_prob_n * weight_n).sum();
  loss.backward();

  LossAndGradient out{.loss = loss.item<double>(), .gradient = {}};
  for (const auto& p : parameters) {
    out.gradient.push_back(p.grad().defined() ? p.grad() : at::zeros_like(p.detach()));
    p.mutable_grad() = at::Tensor();
  }
  return out;
}

double norm(const std::vector<at::Tensor>& tensors) {
  double sum = 0;
  for (const auto& t : tensors) sum += t.to(at::kDouble).square().sum().item<double>();
  return std::sqrt(sum);
}

}  // namespace

double tree_tolerance(const Transformer& model) {
  const TransformerConfig& config = model.config();
  const bool half = model.options().compute == ComputeType::kBfloat16;
  const double u = half ? 0x1.0p-9 : 0x1.0p-24;
  const double sums = half ? 1 : std::sqrt(static_cast<double>(config.mlp_width));
  return 4 * u * std::sqrt(8.0 * static_cast<double>(config.layers)) * sums;
}

TreeAgreement compare_tree(const Transformer& model, const TrainedWeights& trained,
                           std::span<const TrainingRow> rows,
                           std::span<const double> weight_of_row) {
  check(rows.size() == weight_of_row.size(), "compare_tree: one weight a row");
  std::vector<double> token_weight;
  for (size_t r = 0; r < rows.size(); ++r) {
    token_weight.push_back(weight_of_row[r] / static_cast<double>(rows[r].targets()));
  }
  std::vector<size_t> all(rows.size());
  std::iota(all.begin(), all.end(), size_t{0});
  auto shared = backward(model, trained, rows, token_weight, all);

  TreeAgreement out;
  double loss = 0;
  for (const size_t r : all) {
    const auto alone = backward(model, trained, rows, token_weight, {r});
    loss += alone.loss;
    out.loss_limit += tree_tolerance(model) * std::abs(alone.loss);
    out.gradient_limit += tree_tolerance(model) * norm(alone.gradient);
    for (size_t i = 0; i < alone.gradient.size(); ++i) shared.gradient[i].sub_(alone.gradient[i]);
  }
  out.loss_difference = std::abs(shared.loss - loss);
  out.gradient_difference = norm(shared.gradient);
  return out;
}

void verify_tree(const Transformer& model, const TrainedWeights& trained,
                 std::span<const TrainingRow> rows, int64_t token_budget) {
  std::vector<TrainingRow> first, some;
  for (size_t r = 0; r < rows.size() && first.size() < kMaxRows; ++r) {
    if (r >= 2 && rows[r - 2].group == rows[r].group) continue;
    first.push_back(rows[r]);
  }
  const TreePlan plan = plan_trees(first, token_budget);
  for (const size_t r : plan.trees.front()) some.push_back(first[r]);
  const auto agreement = compare_tree(model, trained, some, std::vector<double>(some.size(), 1));
  if (!agreement.is_finite() || agreement.agrees()) return;
  fail(ErrorCode::kUnsupported,
       fmt::format("verify_tree: {} rows: session tree and unshared rows disagree: loss by {:.3g} "
                   "(limit {:.3g}), gradient by {:.3g} (limit {:.3g}) (a defect: please report it)",
                   some.size(), agreement.loss_difference, agreement.loss_limit,
                   agreement.gradient_difference, agreement.gradient_limit));
}

}  // namespace l2a
