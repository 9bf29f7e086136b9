// Token rows to learn from, and the session trees they are computed in.
//
// A row is a context and a reply; the reply's tokens are its targets. Rows of one session share
// their transcript, and where a row's reply is what the transcript goes on with (SFT's asking
// turns) its targets stand in the trunk: that follows from the longest common prefix alone.
//
// Shape suffixes: n target tokens, row after row in the order of RowTree::rows.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include <ATen/core/Tensor.h>

#include "model/token_tree.h"
#include "model/transformer.h"

namespace l2a {

struct TrainingRow {
  std::vector<int32_t> ids;  // context, then reply
  int64_t context = 0;       // tokens [context, size) are the reply
  int64_t group = 0;         // rows of one expert turn; never split over two trees

  int64_t targets() const { return static_cast<int64_t>(ids.size()) - context; }
};

// How many tokens the rows begin with alike.
int64_t common_prefix(const std::vector<int32_t>& x, const std::vector<int32_t>& y);

// Which rows are computed together.
struct TreePlan {
  std::vector<std::vector<size_t>> trees;  // indices of rows, in order; the largest first
  int64_t tokens = 0;                      // of all trees
  int64_t recharged_tokens = 0;            // paid again because a session's trie was split
};

// Fills trees with whole groups, in order, up to `token_budget` tokens each (more where one
// group alone has more). Several small sessions may share a tree. The largest tree comes first: if
// memory does not do, that shows before the others are computed.
TreePlan plan_trees(std::span<const TrainingRow> rows, int64_t token_budget);

struct RowTree {
  TokenTree tree;
  std::vector<size_t> rows;         // indices of the rows in it
  std::vector<int64_t> predictors;  // for each target, the packed index of the token before it
  std::vector<int64_t> targets;     // its id
};
RowTree make_row_tree(std::span<const TrainingRow> rows, std::vector<size_t> chosen);

// log p and entropy of every target of the tree, float32 [n]. Differentiable with respect to
// `trained` when autograd is on.
HeadOutput target_log_probs(const Transformer& model, const TrainedWeights* trained,
                            const RowTree& tree, double temperature);

// The log-probabilities of a policy that is not trained here; no autograd.
at::Tensor frozen_log_probs(const Transformer& model, const TrainedWeights* trained,
                            const RowTree& tree, double temperature);

// How many targets each row of the tree has, in its order.
std::vector<int64_t> targets_of_rows(const RowTree& tree, std::span<const TrainingRow> rows);

// One value a row of the tree, repeated at each of its targets; float32 [n] on `device`.
at::Tensor spread_to_targets(const RowTree& tree, std::span<const TrainingRow> rows,
                             std::span<const double> value_of_row, at::Device device);

}  // namespace l2a
