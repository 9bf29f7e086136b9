// Tree attention on the CPU: the products of panel.h, block by block of queries, with the softmax
// in between while the scores are in the cache. Private to this module.
#pragma once

#include "model/tree_attention.h"

namespace l2a {

// As tree_attention() and its backward, for contiguous CPU tensors. The work is dealt out to the
// threads beforehand, so the bits depend on the number of threads only.
AttentionOutput cpu_tree_attention(const AttentionInput& in,
                                   const std::vector<AttentionTask>& tasks, double scale);
AttentionInput cpu_tree_attention_backward(const at::Tensor& grad_out_nkgh,
                                           const AttentionInput& in, const AttentionOutput& out,
                                           const std::vector<AttentionTask>& tasks, double scale);

}  // namespace l2a
