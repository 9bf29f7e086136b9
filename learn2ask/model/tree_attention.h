// Attention over a token tree, forward and backward, without any [n, n] matrix.
//
// Shape suffixes: n packed tokens, k kv heads, g query heads of one kv head, h head dim.
// Query heads are numbered k * G + g, as in Hugging Face's Llama.
#pragma once

#include <vector>

#include <ATen/core/Tensor.h>

#include "model/tree_plan.h"

namespace l2a {

// Rotated queries and keys, and values, in the compute type.
struct AttentionInput {
  at::Tensor q_kngh, k_knh, v_knh;
};

struct AttentionOutput {
  at::Tensor out_nkgh;  // as the output projection reads it, in the compute type
  at::Tensor lse_kng;   // log of the softmax's denominator, float32; the backward pass needs it
};

// softmax(scale q k') v; scores and softmax in float32.
AttentionOutput tree_attention(const AttentionInput& in, const std::vector<AttentionTask>& tasks,
                               double scale);

// Gradients of q, k and v, given that of out.
AttentionInput tree_attention_backward(const at::Tensor& grad_out_nkgh, const AttentionInput& in,
                                       const AttentionOutput& out,
                                       const std::vector<AttentionTask>& tasks, double scale);

// The same from torch's operators, on any device.
AttentionOutput composed_tree_attention(const AttentionInput& in,
                                        const std::vector<AttentionTask>& tasks, double scale);
AttentionInput composed_tree_attention_backward(const at::Tensor& grad_out_nkgh,
                                                const AttentionInput& in,
                                                const AttentionOutput& out,
                                                const std::vector<AttentionTask>& tasks,
                                                double scale);

}  // namespace l2a
