#include "train/rows.h"

#include <algorithm>

#include <torch/autograd.h>
#include <torch/types.h>

#include "base/error.h"

namespace l2a {
namespace {

// Tokens that `row` adds to the trie of rows [first, last).
int64_t added_tokens(std::span<const TrainingRow> rows, size_t first, size_t last, size_t row) {
  int64_t shared = 0;
  for (size_t i = first; i < last; ++i) {
    shared = std::max(shared, common_prefix(rows[row].ids, rows[i].ids));
  }
  return static_cast<int64_t>(rows[row].ids.size()) - shared;
}

// Tokens of the trie of all rows: in sorted order, a row shares most with the one before it.
int64_t trie_tokens(std::span<const TrainingRow> rows) {
  std::vector<const std::vector<int32_t>*> sorted;
  for (const TrainingRow& row : rows) sorted.push_back(&row.ids);
  std::sort(sorted.begin(), sorted.end(), [](const auto* x, const auto* y) { return *x < *y; });
  int64_t tokens = 0;
  for (size_t i = 0; i < sorted.size(); ++i) {
    const int64_t shared = i == 0 ? 0 : common_prefix(*sorted[i - 1], *sorted[i]);
    tokens += static_cast<int64_t>(sorted[i]->size()) - shared;
  }
  return tokens;
}

at::Tensor index_tensor(const std::vector<int64_t>& values, at::Device device) {
  return torch::tensor(values, at::kLong).to(device);
}

}  // namespace

int64_t common_prefix(const std::vector<int32_t>& x, const std::vector<int32_t>& y) {
  const auto end = std::mismatch(x.begin(), x.end(), y.begin(), y.end()).first;
  return end - x.begin();
}

TreePlan plan_trees(std::span<const TrainingRow> rows, int64_t token_budget) {
  struct Planned {
    std::vector<size_t> rows;
    int64_t tokens = 0;
  };
  std::vector<Planned> trees;
  for (size_t begin = 0, end = 0; begin < rows.size(); begin = end) {
    while (end < rows.size() && rows[end].group == rows[begin].group) ++end;
    const auto cost_after = [&](size_t first) {
      int64_t cost = 0;
      for (size_t i = begin; i < end; ++i) cost += added_tokens(rows, first, i, i);
      return cost;
    };
    int64_t cost = trees.empty() ? 0 : cost_after(trees.back().rows.front());
    if (trees.empty() || trees.back().tokens + cost > token_budget) {
      trees.emplace_back();
      cost = cost_after(begin);
    }
    for (size_t i = begin; i < end; ++i) trees.back().rows.push_back(i);
    trees.back().tokens += cost;
  }
  std::stable_sort(trees.begin(), trees.end(),
                   [](const Planned& x, const Planned& y) { return x.tokens > y.tokens; });
  TreePlan plan;
  for (Planned& tree : trees) {
    plan.tokens += tree.tokens;
    plan.trees.push_back(std::move(tree.rows));
  }
  plan.recharged_tokens = plan.tokens - trie_tokens(rows);
  return plan;
}

RowTree make_row_tree(std::span<const TrainingRow> rows, std::vector<size_t> chosen) {
  std::vector<std::vector<int32_t>> ids;
  for (const size_t r : chosen) ids.push_back(rows[r].ids);
  RowTree out{
      .tree = build_token_tree(ids), .rows = std::move(chosen), .predictors = {}, .targets = {}};
  for (size_t i = 0; i < out.rows.size(); ++i) {
    const TrainingRow& row = rows[out.rows[i]];
    check(row.context > 0 && row.targets() > 0, "make_row_tree: a row without context or reply");
    const auto packed = row_tokens(out.tree, static_cast<int64_t>(i), row.context - 1,
                                   static_cast<int64_t>(row.ids.size()) - 1);
    out.predictors.insert(out.predictors.end(), packed.begin(), packed.end());
    out.targets.insert(out.targets.end(), row.ids.begin() + row.context, row.ids.end());
  }
  return out;
}

HeadOutput target_log_probs(const Transformer& model, const TrainedWeights* trained,
                            const RowTree& tree, double temperature) {
  const auto hidden_nd = model.hidden(tree.tree, trained);
  const auto device = hidden_nd.device();
  return model.head(hidden_nd.index_select(0, index_tensor(tree.predictors, device)),
                    index_tensor(tree.targets, device), temperature, trained);
}

at::Tensor frozen_log_probs(const Transformer& model, const TrainedWeights* trained,
                            const RowTree& tree, double temperature) {
  const at::NoGradGuard no_grad;
  return target_log_probs(model, trained, tree, temperature).log_prob_n;
}

std::vector<int64_t> targets_of_rows(const RowTree& tree, std::span<const TrainingRow> rows) {
  std::vector<int64_t> targets;
  for (const size_t r : tree.rows) targets.push_back(rows[r].targets());
  return targets;
}

at::Tensor spread_to_targets(const RowTree& tree, std::span<const TrainingRow> rows,
                             std::span<const double> value_of_row, at::Device device) {
  std::vector<float> values;
  values.reserve(tree.targets.size());
  for (const size_t r : tree.rows) {
    values.insert(values.end(), static_cast<size_t>(rows[r].targets()),
                  static_cast<float>(value_of_row[r]));
  }
  return torch::tensor(values, at::kFloat).to(device);
}

}  // namespace l2a
