// The transformer's elementwise operators with their gradients, in float32 inside whatever the
// compute type. On the CPU they are row loops (row_kernels.h); `composed` holds the same from
// torch's operators for other devices. Tensors are contiguous, but for the heads of
// split_and_rotate() there, whose tokens are outermost in memory. Private to this module.
//
// Shape suffixes: n tokens, d width, k kv heads, g query heads of one kv head, h head dim,
// f half a head dim, m width of the MLP.
#pragma once

#include <ATen/core/Tensor.h>

#include "model/attention_tensors.h"
#include "model/config.h"
#include "model/rotary.h"

namespace l2a {

// x / sqrt(mean x^2 + epsilon) * weight. Source: arXiv 1910.07467.
at::Tensor rms_norm(const at::Tensor& x_nd, const at::Tensor& weight_d, double epsilon);
// Gradient of x: through the norm, plus `residual_nd` where defined.
at::Tensor rms_norm_backward(const at::Tensor& grad_nd, const at::Tensor& x_nd,
                             const at::Tensor& weight_d, double epsilon,
                             const at::Tensor& residual_nd);
// Gradient of the weight, float32 [d].
at::Tensor rms_norm_weight_backward(const at::Tensor& grad_nd, const at::Tensor& x_nd,
                                    double epsilon);

// The norm with autograd, of x and, where it wants one, of the weight.
at::Tensor differentiable_rms_norm(const at::Tensor& x_nd, const at::Tensor& weight_d,
                                   double epsilon);

// Splits rows [q | k | v] into heads and rotates q and k (rotate-half, as in Hugging Face).
// Source: arXiv 2104.09864.
AttentionInput split_and_rotate(const at::Tensor& qkv_n, const RotaryTable& table,
                                const TransformerConfig& config);
at::Tensor split_and_rotate_backward(const AttentionInput& grad, const RotaryTable& table);

// activation(gate) * up of rows [gate | up].
at::Tensor gated(const at::Tensor& gate_up_n, Activation activation);
at::Tensor gated_backward(const at::Tensor& grad_nm, const at::Tensor& gate_up_n,
                          Activation activation);

namespace composed {
// a b for each of a batch, [k, m, h] and [k, h, j], into float32 without a rounding in between.
at::Tensor wide_bmm(const at::Tensor& a_kmh, const at::Tensor& b_khj);
at::Tensor rms_norm(const at::Tensor& x_nd, const at::Tensor& weight_d, double epsilon);
at::Tensor rms_norm_backward(const at::Tensor& grad_nd, const at::Tensor& x_nd,
                             const at::Tensor& weight_d, double epsilon,
                             const at::Tensor& residual_nd);
AttentionInput split_and_rotate(const at::Tensor& qkv_n, const RotaryTable& table,
                                const TransformerConfig& config);
at::Tensor split_and_rotate_backward(const AttentionInput& grad, const RotaryTable& table);
at::Tensor gated(const at::Tensor& gate_up_n, Activation activation);
at::Tensor gated_backward(const at::Tensor& grad_nm, const at::Tensor& gate_up_n,
                          Activation activation);
}  // namespace composed

}  // namespace l2a
