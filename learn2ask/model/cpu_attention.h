// Tree attention on the CPU: the products of panel.h, block by block of queries, with the softmax
// in between while the scores are in the cache. Private to this module.
#pragma once

#include "model/panel.h"
#include "model/tree_attention.h"

namespace l2a {

// As tree_attention() and its backward, for contiguous CPU tensors. The work is dealt out to the
// threads beforehand, so the bits depend on the number of threads only. `pairs`: bfloat16 is
// multiplied as such; else it is widened first, which any processor can do.
AttentionOutput cpu_tree_attention(const AttentionInput& in,
                                   const std::vector<AttentionTask>& tasks,
                                   bool pairs = has_bf16_products());
AttentionInput cpu_tree_attention_backward(const at::Tensor& grad_out_nkgh,
                                           const AttentionInput& in, const AttentionOutput& out,
                                           const std::vector<AttentionTask>& tasks,
                                           bool pairs = has_bf16_products());

}  // namespace l2a
