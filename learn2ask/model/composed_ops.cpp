#include <torch/types.h>

#include "model/ops.h"

// An operator of tensors of two types computes in the wider one, float32 here, and rounds once, to
// what it writes into: nothing is widened in memory that an operator can widen as it reads.

namespace l2a::composed {
namespace {

constexpr const char* kGeluKind = "tanh";

// 1 / sqrt(mean x^2 + epsilon), float32 [n, 1].
at::Tensor inverse_rms(const at::Tensor& x_nd, double epsilon) {
  return at::linalg_vector_norm(x_nd, 2, -1, true, at::kFloat)
      .square_()
      .div_(x_nd.size(1))
      .add_(epsilon)
      .rsqrt_();
}

// Rotates each head by the table's angles, or back where `sign` is -1. x [n, heads, h].
at::Tensor rotate(const at::Tensor& x, const RotaryTable& table, double sign) {
  const auto cos = table.cos_nf.unsqueeze(1), sin = table.sin_nf.unsqueeze(1);
  auto out = at::empty(x.sizes(), x.options());
  const auto from = x.chunk(2, -1);
  auto to = out.chunk(2, -1);
  at::addcmul_out(to[0], from[0] * cos, from[1], sin, -sign);
  at::addcmul_out(to[1], from[1] * cos, from[0], sin, sign);
  return out;
}

}  // namespace

at::Tensor wide_bmm(const at::Tensor& a_kmh, const at::Tensor& b_khj) {
  if (a_kmh.is_cuda() && a_kmh.scalar_type() != at::kFloat) {
    return at::bmm(a_kmh, b_khj, at::kFloat);  // its own kernel, on CUDA alone
  }
  return at::bmm(a_kmh.to(at::kFloat), b_khj.to(at::kFloat));
}

at::Tensor rms_norm(const at::Tensor& x_nd, const at::Tensor& weight_d, double epsilon) {
  auto out_nd = at::empty_like(x_nd);
  return at::mul_out(out_nd, x_nd * inverse_rms(x_nd, epsilon), weight_d);
}

at::Tensor rms_norm_backward(const at::Tensor& grad_nd, const at::Tensor& x_nd,
                             const at::Tensor& weight_d, double epsilon,
                             const at::Tensor& residual_nd) {
  const auto inverse = inverse_rms(x_nd, epsilon);
  const auto unit = x_nd * inverse, g = grad_nd * weight_d;
  const auto through = at::addcmul(g, unit, (g * unit).mean(-1, true), -1);
  auto out_nd = at::empty_like(x_nd);
  return residual_nd.defined() ? at::addcmul_out(out_nd, residual_nd, through, inverse)
                               : at::mul_out(out_nd, through, inverse);
}

// Tokens stay outermost in memory: the heads' tensors are views.
AttentionInput split_and_rotate(const at::Tensor& qkv_n, const RotaryTable& table,
                                const TransformerConfig& config) {
  const int64_t n = qkv_n.size(0), kv = config.kv_heads;
  const auto parts = qkv_n.view({n, -1, config.head_dim}).split({config.heads, kv, kv}, 1);
  return {rotate(parts[0], table, 1).unflatten(1, {kv, -1}).transpose(0, 1),
          rotate(parts[1], table, 1).transpose(0, 1), parts[2].contiguous().transpose(0, 1)};
}

at::Tensor split_and_rotate_backward(const AttentionInput& grad, const RotaryTable& table) {
  return at::cat({rotate(grad.q_kngh.transpose(0, 1).flatten(1, 2), table, -1),
                  rotate(grad.k_knh.transpose(0, 1), table, -1), grad.v_knh.transpose(0, 1)},
                 1)
      .flatten(1);
}

at::Tensor gated(const at::Tensor& gate_up_n, Activation activation) {
  const auto parts = gate_up_n.chunk(2, -1);
  const auto gate = parts[0].to(at::kFloat);
  const auto active = activation == Activation::kSilu ? at::silu(gate) : at::gelu(gate, kGeluKind);
  auto out_nm = at::empty(parts[1].sizes(), parts[1].options());
  return at::mul_out(out_nm, active, parts[1]);
}

at::Tensor gated_backward(const at::Tensor& grad_nm, const at::Tensor& gate_up_n,
                          Activation activation) {
  const auto parts = gate_up_n.chunk(2, -1);
  const auto gate = parts[0].to(at::kFloat);
  auto grad = grad_nm.to(at::kFloat, /*non_blocking=*/false, /*copy=*/true);
  auto out_n = at::empty_like(gate_up_n);
  auto out = out_n.chunk(2, -1);
  // On CUDA the derivatives' kernels round what they read to the type that they write.
  if (activation == Activation::kSilu) {
    at::mul_out(out[1], grad, at::silu(gate));
    at::silu_backward_out(grad, grad.mul_(parts[1]), gate);
  } else {
    at::mul_out(out[1], grad, at::gelu(gate, kGeluKind));
    at::gelu_backward_out(grad, grad.mul_(parts[1]), gate, kGeluKind);
  }
  out[0].copy_(grad);
  return out_n;
}

}  // namespace l2a::composed
