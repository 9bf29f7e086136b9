// The check that a session tree and its unshared rows give the same loss and gradient.
#pragma once

#include <cmath>
#include <cstdint>
#include <span>

#include "model/lora.h"
#include "model/transformer.h"
#include "train/rows.h"

namespace l2a {

struct TreeAgreement {
  double loss_difference = 0, loss_limit = 0;
  double gradient_difference = 0, gradient_limit = 0;  // L2 norms over all parameters
  // Whether the rows alone have a finite loss and gradient: else nothing can be compared.
  bool is_finite() const { return std::isfinite(loss_limit) && std::isfinite(gradient_limit); }
  bool agrees() const {
    return loss_difference <= loss_limit && gradient_difference <= gradient_limit;
  }
};

// How far rounding may move the loss and the gradient of rows, as a share of the summed norms of
// the rows' own. A residual network of 8 rounded operations a layer, each with relative error u,
// drifts by about u sqrt(8 layers); float32 sums over the MLP's width add sqrt(width); 4 times
// that. u is 2^-24 in float32 and 2^-9 in bfloat16: there a check finds a tree that is wrong for
// all, not a small error, nor the gradient of one short row of eight.
double tree_tolerance(const Transformer& model);

// Compares sum over rows of weight * (mean log p of its targets), and its gradient, of the tree
// of these rows with each row computed alone. `weight_of_row` runs parallel to `rows`. Gradients
// are cleared.
TreeAgreement compare_tree(const Transformer& model, const TrainedWeights& trained,
                           std::span<const TrainingRow> rows,
                           std::span<const double> weight_of_row);

// The same on one tree of at most 8 rows, the first two of each group, and of no more tokens than
// the step's own trees (plan_trees): it costs about one step's time and no more memory. Each row
// has weight 1, so that none is spared. Throws Failure when they disagree: training must not go on.
// Rows that are not finite even alone pass: the step's own loss says so, and keeps the evidence.
void verify_tree(const Transformer& model, const TrainedWeights& trained,
                 std::span<const TrainingRow> rows, int64_t token_budget);

}  // namespace l2a
