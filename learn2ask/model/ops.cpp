#include "model/ops.h"

#include <ATen/Parallel.h>
#include <torch/autograd.h>
#include <torch/types.h>

#include "model/row_kernels.h"

namespace l2a {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// Calls rows(begin, end, T()) on parts of [0, n) in parallel, T being the tensor's number type.
template <class Rows>
void for_rows(const at::Tensor& like, int64_t n, const Rows& rows) {
  constexpr int64_t kRowsPerThread = 16;
  at::parallel_for(0, n, kRowsPerThread, [&](int64_t begin, int64_t end) {
    if (like.scalar_type() == at::kFloat) {
      rows(begin, end, float());
    } else {
      rows(begin, end, BFloat16());
    }
  });
}

struct RmsNorm : torch::autograd::Function<RmsNorm> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x_nd,
                            const at::Tensor& weight_d, double epsilon) {
    context->save_for_backward({x_nd, weight_d});
    context->saved_data["epsilon"] = epsilon;
    return rms_norm(x_nd, weight_d, epsilon);
  }

  static variable_list backward(AutogradContext* context, const variable_list& grads) {
    const variable_list v = context->get_saved_variables();
    const double epsilon = context->saved_data["epsilon"].toDouble();
    const bool of_weight = context->needs_input_grad(1);
    return {rms_norm_backward(grads[0], v[0], v[1], epsilon, {}),
            of_weight ? rms_norm_weight_backward(grads[0], v[0], epsilon) : at::Tensor(),
            {}};
  }
};

}  // namespace

at::Tensor rms_norm(const at::Tensor& x_nd, const at::Tensor& weight_d, double epsilon) {
  if (!x_nd.is_cpu()) return composed::rms_norm(x_nd, weight_d, epsilon);
  auto out_nd = at::empty_like(x_nd);
  const int64_t d = x_nd.size(1);
  const auto* weight = weight_d.const_data_ptr<float>();
  for_rows(x_nd, x_nd.size(0), [&]<class T>(int64_t begin, int64_t end, T) {
    const T* const x = x_nd.const_data_ptr<T>();
    T* const out = out_nd.data_ptr<T>();
    for (int64_t i = begin; i < end; ++i) {
      rms_norm_row(x + i * d, weight, static_cast<float>(epsilon), d, out + i * d);
    }
  });
  return out_nd;
}

at::Tensor rms_norm_backward(const at::Tensor& grad_nd, const at::Tensor& x_nd,
                             const at::Tensor& weight_d, double epsilon,
                             const at::Tensor& residual_nd) {
  if (!x_nd.is_cpu()) {
    return composed::rms_norm_backward(grad_nd, x_nd, weight_d, epsilon, residual_nd);
  }
  auto out_nd = at::empty_like(x_nd);
  const int64_t d = x_nd.size(1);
  const auto* weight = weight_d.const_data_ptr<float>();
  for_rows(x_nd, x_nd.size(0), [&]<class T>(int64_t begin, int64_t end, T) {
    const T *const grad = grad_nd.const_data_ptr<T>(), *const x = x_nd.const_data_ptr<T>();
    const T* const residual = residual_nd.defined() ? residual_nd.const_data_ptr<T>() : nullptr;
    T* const out = out_nd.data_ptr<T>();
    for (int64_t i = begin; i < end; ++i) {
      rms_norm_backward_row(grad + i * d, x + i * d, weight, static_cast<float>(epsilon),
                            residual ? residual + i * d : nullptr, d, out + i * d);
    }
  });
  return out_nd;
}

// In torch's own operators: a fraction of what the layer's products take.
at::Tensor rms_norm_weight_backward(const at::Tensor& grad_nd, const at::Tensor& x_nd,
                                    double epsilon) {
  auto unit_nd = x_nd.to(at::kFloat, /*non_blocking=*/false, /*copy=*/true);
  const auto mean_square = at::linalg_vector_norm(unit_nd, 2, -1, true).square_() / x_nd.size(1);
  return unit_nd.mul_((mean_square + epsilon).rsqrt_()).mul_(grad_nd).sum(0);
}

at::Tensor differentiable_rms_norm(const at::Tensor& x_nd, const at::Tensor& weight_d,
                                   double epsilon) {
  return x_nd.requires_grad() || weight_d.requires_grad() ? RmsNorm::apply(x_nd, weight_d, epsilon)
                                                          : rms_norm(x_nd, weight_d, epsilon);
}

// q, k and v of token i and head j stand at row [q | k | v] and, by head, at [j][i].
AttentionInput split_and_rotate(const at::Tensor& qkv_n, const RotaryTable& table,
                                const TransformerConfig& config) {
  if (!qkv_n.is_cpu()) return composed::split_and_rotate(qkv_n, table, config);
  const int64_t n = qkv_n.size(0), kv = config.kv_heads, g = config.heads / kv, h = config.head_dim;
  AttentionInput out{at::empty({kv, n, g, h}, qkv_n.options()),
                     at::empty({kv, n, h}, qkv_n.options()),
                     at::empty({kv, n, h}, qkv_n.options())};
  const float *const cos = table.cos_nf.const_data_ptr<float>(), *const sin =
                                                                     table.sin_nf
                                                                         .const_data_ptr<float>();
  for_rows(qkv_n, n, [&]<class T>(int64_t begin, int64_t end, T) {
    T *const q = out.q_kngh.data_ptr<T>(), *const k = out.k_knh.data_ptr<T>(),
             *const v = out.v_knh.data_ptr<T>();
    for (int64_t i = begin; i < end; ++i) {
      const T* from = qkv_n.const_data_ptr<T>() + i * qkv_n.size(1);
      const float *const c = cos + i * h / 2, *const s = sin + i * h / 2;
      for (int64_t j = 0; j < kv * g; ++j, from += h) {
        rotate_row(from, c, s, 1, h / 2, q + ((j / g * n + i) * g + j % g) * h);
      }
      for (int64_t j = 0; j < kv; ++j, from += h) {
        rotate_row(from, c, s, 1, h / 2, k + (j * n + i) * h);
      }
      for (int64_t j = 0; j < kv; ++j, from += h) std::copy_n(from, h, v + (j * n + i) * h);
    }
  });
  return out;
}

at::Tensor split_and_rotate_backward(const AttentionInput& grad, const RotaryTable& table) {
  if (!grad.q_kngh.is_cpu()) return composed::split_and_rotate_backward(grad, table);
  const auto sizes = grad.q_kngh.sizes();
  const int64_t kv = sizes[0], n = sizes[1], g = sizes[2], h = sizes[3];
  auto out_n = at::empty({n, (g + 2) * kv * h}, grad.q_kngh.options());
  const float *const cos = table.cos_nf.const_data_ptr<float>(), *const sin =
                                                                     table.sin_nf
                                                                         .const_data_ptr<float>();
  for_rows(out_n, n, [&]<class T>(int64_t begin, int64_t end, T) {
    const T *const q = grad.q_kngh.const_data_ptr<T>(), *const k = grad.k_knh.const_data_ptr<T>(),
                   *const v = grad.v_knh.const_data_ptr<T>();
    for (int64_t i = begin; i < end; ++i) {
      T* to = out_n.data_ptr<T>() + i * out_n.size(1);
      const float *const c = cos + i * h / 2, *const s = sin + i * h / 2;
      for (int64_t j = 0; j < kv * g; ++j, to += h) {
        rotate_row(q + ((j / g * n + i) * g + j % g) * h, c, s, -1, h / 2, to);
      }
      for (int64_t j = 0; j < kv; ++j, to += h) {
        rotate_row(k + (j * n + i) * h, c, s, -1, h / 2, to);
      }
      for (int64_t j = 0; j < kv; ++j, to += h) std::copy_n(v + (j * n + i) * h, h, to);
    }
  });
  return out_n;
}

at::Tensor gated(const at::Tensor& gate_up_n, Activation activation) {
  if (!gate_up_n.is_cpu()) return composed::gated(gate_up_n, activation);
  const int64_t n = gate_up_n.size(0), m = gate_up_n.size(1) / 2;
  auto out_nm = at::empty({n, m}, gate_up_n.options());
  for_rows(gate_up_n, n, [&]<class T>(int64_t begin, int64_t end, T) {
    const T* const gate_up = gate_up_n.const_data_ptr<T>();
    T* const out = out_nm.data_ptr<T>();
    for (int64_t i = begin; i < end; ++i) {
      gated_row(activation, gate_up + 2 * i * m, gate_up + (2 * i + 1) * m, m, out + i * m);
    }
  });
  return out_nm;
}

at::Tensor gated_backward(const at::Tensor& grad_nm, const at::Tensor& gate_up_n,
                          Activation activation) {
  if (!gate_up_n.is_cpu()) return composed::gated_backward(grad_nm, gate_up_n, activation);
  const int64_t n = gate_up_n.size(0), m = gate_up_n.size(1) / 2;
  auto out_n = at::empty_like(gate_up_n);
  for_rows(gate_up_n, n, [&]<class T>(int64_t begin, int64_t end, T) {
    const T *const grad = grad_nm.const_data_ptr<T>(), *const gate_up =
                                                           gate_up_n.const_data_ptr<T>();
    T* const out = out_n.data_ptr<T>();
    for (int64_t i = begin; i < end; ++i) {
      const int64_t gate = 2 * i * m, up = gate + m;
      gated_backward_row(activation, grad + i * m, gate_up + gate, gate_up + up, m, out + gate,
                         out + up);
    }
  });
  return out_n;
}

}  // namespace l2a
