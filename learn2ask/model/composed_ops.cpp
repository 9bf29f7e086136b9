#include <torch/types.h>

#include "model/ops.h"

namespace l2a::composed {
namespace {

constexpr const char* kGeluKind = "tanh";

at::Tensor inverse_rms(const at::Tensor& x, double epsilon) {
  return at::rsqrt(x.square().mean(-1, true) + epsilon);
}

// Rotates by the table's angles, or back where `sign` is -1. x [k, n, g, h].
at::Tensor rotate(const at::Tensor& x_kngh, const RotaryTable& table, double sign) {
  const auto halves = x_kngh.to(at::kFloat).chunk(2, -1);
  const auto cos = table.cos_nf.unsqueeze(1), sin = table.sin_nf.unsqueeze(1) * sign;
  return at::cat({halves[0] * cos - halves[1] * sin, halves[1] * cos + halves[0] * sin}, -1)
      .to(x_kngh.scalar_type());
}

}  // namespace

at::Tensor rms_norm(const at::Tensor& x_nd, const at::Tensor& weight_d, double epsilon) {
  const auto x = x_nd.to(at::kFloat);
  return (x * inverse_rms(x, epsilon) * weight_d).to(x_nd.scalar_type());
}

at::Tensor rms_norm_backward(const at::Tensor& grad_nd, const at::Tensor& x_nd,
                             const at::Tensor& weight_d, double epsilon,
                             const at::Tensor& residual_nd) {
  const auto x = x_nd.to(at::kFloat);
  const auto inverse = inverse_rms(x, epsilon);
  const auto unit = x * inverse;
  const auto g = grad_nd.to(at::kFloat) * weight_d;
  const auto through = (g - unit * (g * unit).mean(-1, true)) * inverse;
  return (residual_nd.defined() ? residual_nd.to(at::kFloat) + through : through)
      .to(x_nd.scalar_type());
}

AttentionInput split_and_rotate(const at::Tensor& qkv_n, const RotaryTable& table,
                                const TransformerConfig& config) {
  const int64_t n = qkv_n.size(0), kv = config.kv_heads, g = config.heads / kv;
  const auto parts = qkv_n.view({n, -1, config.head_dim}).split({config.heads, kv, kv}, 1);
  const auto heads = [&](const at::Tensor& x, int64_t group) {
    return x.reshape({n, kv, group, config.head_dim}).transpose(0, 1).contiguous();
  };
  return {rotate(heads(parts[0], g), table, 1), rotate(heads(parts[1], 1), table, 1).squeeze(2),
          heads(parts[2], 1).squeeze(2)};
}

at::Tensor split_and_rotate_backward(const AttentionInput& grad, const RotaryTable& table) {
  const auto rows = [](const at::Tensor& x_kngh) { return x_kngh.transpose(0, 1).flatten(1); };
  return at::cat({rows(rotate(grad.q_kngh, table, -1)),
                  rows(rotate(grad.k_knh.unsqueeze(2), table, -1)), rows(grad.v_knh.unsqueeze(2))},
                 1);
}

at::Tensor gated(const at::Tensor& gate_up_n, Activation activation) {
  const auto parts = gate_up_n.to(at::kFloat).chunk(2, -1);
  const auto active =
      activation == Activation::kSilu ? at::silu(parts[0]) : at::gelu(parts[0], kGeluKind);
  return (active * parts[1]).to(gate_up_n.scalar_type());
}

at::Tensor gated_backward(const at::Tensor& grad_nm, const at::Tensor& gate_up_n,
                          Activation activation) {
  const auto parts = gate_up_n.to(at::kFloat).chunk(2, -1);
  const auto grad = grad_nm.to(at::kFloat), by_gate = grad * parts[1];
  const bool silu = activation == Activation::kSilu;
  const auto active = silu ? at::silu(parts[0]) : at::gelu(parts[0], kGeluKind);
  return at::cat({silu ? at::silu_backward(by_gate, parts[0])
                       : at::gelu_backward(by_gate, parts[0], kGeluKind),
                  grad * active},
                 -1)
      .to(gate_up_n.scalar_type());
}

}  // namespace l2a::composed
