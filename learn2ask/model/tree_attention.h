// Attention over a token tree, forward and backward, without any [n, n] matrix.
#pragma once

#include <optional>
#include <vector>

#include "model/attention_tensors.h"
#include "model/flash_attention.h"
#include "model/tree_plan.h"

namespace l2a {

// How it runs: by the device's own kernels where there is a plan for them, else task by task.
struct AttentionPlan {
  std::vector<AttentionTask> tasks;
  std::optional<FlashPlan> flash;
};

// softmax(scale q k') v; scores and softmax in float32.
AttentionOutput tree_attention(const AttentionInput& in, const AttentionPlan& plan, double scale);

// Gradients of q, k and v, given that of out.
AttentionInput tree_attention_backward(const at::Tensor& grad_out_nkgh, const AttentionInput& in,
                                       const AttentionOutput& out, const AttentionPlan& plan,
                                       double scale);

// The same from torch's operators, on any device.
AttentionOutput composed_tree_attention(const AttentionInput& in,
                                        const std::vector<AttentionTask>& tasks, double scale);
AttentionInput composed_tree_attention_backward(const at::Tensor& grad_out_nkgh,
                                                const AttentionInput& in,
                                                const AttentionOutput& out,
                                                const std::vector<AttentionTask>& tasks,
                                                double scale);

}  // namespace l2a
