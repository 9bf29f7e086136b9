// AdamW with decoupled weight decay, a moving average of the weights, gradient clipping and
// learning rate schedules.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include "base/config.h"

namespace l2a {

struct OptimizerOptions {
  double lr = 1e-4;
  double beta1 = 0.9, beta2 = 0.999;
  double epsilon = 1e-8;
  double weight_decay = 0;   // adapters start near 0 and are low-rank: little to regularise
  double max_grad_norm = 1;  // of all parameters together
  int64_t warmup_steps = 5;  // Adam's second moment is noise in the first few steps
  std::string schedule = "cosine";
  // After step t the average moves by 1 - min(average_decay, (1 + t) / (10 + t)): early steps count
  // for less than they otherwise would. 0: no average.
  double average_decay = 0;

  template <class Visitor>
  void visit(Visitor& v) {
    v("lr", lr, Range{0, 1}, "peak learning rate");
    v("beta1", beta1, Range{0, 0.9999}, "decay of the mean gradient");
    v("beta2", beta2, Range{0, 0.99999}, "decay of the mean squared gradient");
    v("epsilon", epsilon, Range{1e-15, 1}, "added to the root of the mean squared gradient");
    v("weight_decay", weight_decay, Range{0, 1}, "decoupled weight decay");
    v("max_grad_norm", max_grad_norm, Range{1e-6, 1e6}, "gradients are scaled down to this norm");
    v("warmup_steps", warmup_steps, Range{0, 1e6}, "steps of linear warm-up");
    v.choice("schedule", schedule, {"constant", "linear", "cosine"},
             "of the learning rate after warm-up; linear and cosine end at 0");
    v("average_decay", average_decay, Range{0, 0.99999},
      "evaluate and keep a moving average of the weights with this decay; 0: the weights");
  }
};

// The learning rate of step `step` (from 0) of `total`. Warm-up reaches the peak at its last
// step; after it, linear and cosine fall towards 0, which they would reach at `total`.
double learning_rate(const OptimizerOptions& options, int64_t step, int64_t total);

// The L2 norm of all gradients together (parameters without one are passed over), summed in
// double. May be NaN or infinite.
double gradient_norm(const std::vector<at::Tensor>& parameters);
// Scales all gradients by max_norm / (norm + 1e-6) if the norm exceeds max_norm, as PyTorch does.
void clip_gradients(const std::vector<at::Tensor>& parameters, double norm, double max_norm);

// Not thread-safe. Source: arXiv 1711.05101, algorithm 2, in torch.optim.AdamW's order of
// operations.
class AdamW {
 public:
  // float32 leaf tensors; shared with the caller, updated in place.
  AdamW(std::vector<at::Tensor> parameters, const OptimizerOptions& options);

  // One update of the parameters that have a gradient.
  void step(double lr);
  void zero_grad();  // gradients become undefined

  // Parameters take the values of their average, and the average theirs; again: as before. Nothing
  // without average_decay.
  void swap_average();

  const std::vector<at::Tensor>& parameters() const { return parameters_; }
  int64_t steps() const { return steps_; }

  // safetensors, bit-exact: exp_avg.<i>, exp_avg_sq.<i> and, with average_decay, average.<i>; the
  // step count in the metadata.
  // load() throws Failure when the file is not of these parameters.
  void save(const std::filesystem::path& path) const;
  void load(const std::filesystem::path& path);

 private:
  std::vector<at::Tensor> parameters_, mean_, mean_square_;
  std::vector<at::Tensor> average_;  // empty without average_decay
  OptimizerOptions options_;
  int64_t steps_ = 0;
};

}  // namespace l2a
