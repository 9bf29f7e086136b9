#include "model/row_kernels.h"

#include <cmath>
#include <limits>

// Each public function is a clone per instruction set around an inlined template.

namespace l2a {
namespace {

bool visible(int64_t j, const VisibleKeys& keys) {
  return (j < keys.prefix) | ((j >= keys.first) & (j <= keys.last));
}

template <class T>
[[gnu::always_inline]] inline float exp_row_of(const float* score, int64_t begin, int64_t end,
                                               const VisibleKeys& keys, float scale, float shift,
                                               T* out) {
  float sum = 0;
#pragma omp simd reduction(+ : sum)
  for (int64_t j = begin; j < end; ++j) {
    const float e = visible(j, keys) ? fast_exp(scale * score[j] - shift) : 0.0f;
    sum += e;
    narrow(e, out[j]);
  }
  return sum;
}

struct SoftmaxGrad {
  float p, gs;
};

[[gnu::always_inline]] inline SoftmaxGrad softmax_grad(const SoftmaxRow& row, int64_t j,
                                                       float scale) {
  const float p = visible(j, row.keys) ? fast_exp(scale * row.score[j] - row.lse) : 0.0f;
  return {p, scale * p * (row.grad[j] - row.delta)};
}

template <class T>
[[gnu::always_inline]] inline float dot_of(const T* a, const T* b, int64_t n) {
  float sum = 0;
#pragma omp simd reduction(+ : sum)
  for (int64_t i = 0; i < n; ++i) sum += widen(a[i]) * widen(b[i]);
  return sum;
}

template <class T>
[[gnu::always_inline]] inline void rms_norm_of(const T* x, const float* weight, float epsilon,
                                               int64_t n, T* out) {
  const float inverse = 1 / std::sqrt(dot_of(x, x, n) / static_cast<float>(n) + epsilon);
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) narrow(widen(x[i]) * inverse * weight[i], out[i]);
}

template <class T>
[[gnu::always_inline]] inline void rms_norm_backward_of(const T* grad, const T* x,
                                                        const float* weight, float epsilon,
                                                        const T* residual, int64_t n, T* out) {
  float squares = 0, along = 0;
#pragma omp simd reduction(+ : squares, along)
  for (int64_t i = 0; i < n; ++i) {
    squares += widen(x[i]) * widen(x[i]);
    along += widen(grad[i]) * weight[i] * widen(x[i]);
  }
  const float inverse = 1 / std::sqrt(squares / static_cast<float>(n) + epsilon);
  const float shrink = along * inverse * inverse / static_cast<float>(n);
  if (residual) {
#pragma omp simd
    for (int64_t i = 0; i < n; ++i) {
      const float through = (widen(grad[i]) * weight[i] - widen(x[i]) * shrink) * inverse;
      narrow(widen(residual[i]) + through, out[i]);
    }
  } else {
#pragma omp simd
    for (int64_t i = 0; i < n; ++i) {
      narrow((widen(grad[i]) * weight[i] - widen(x[i]) * shrink) * inverse, out[i]);
    }
  }
}

template <class T>
[[gnu::always_inline]] inline void scale_of(const float* x, float factor, int64_t n, T* out) {
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) narrow(factor * x[i], out[i]);
}

template <class T>
[[gnu::always_inline]] inline void add_scaled_of(const T* x, float factor, int64_t n, float* sum) {
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) sum[i] += factor * widen(x[i]);
}

[[gnu::always_inline]] inline float sigmoid(float x) { return 1 / (1 + fast_exp(-x)); }

template <class T>
[[gnu::always_inline]] inline void silu_mul_of(const T* gate, const T* up, int64_t n, T* out) {
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) {
    const float g = widen(gate[i]);
    narrow(g * sigmoid(g) * widen(up[i]), out[i]);
  }
}

template <class T>
[[gnu::always_inline]] inline void silu_mul_backward_of(const T* grad, const T* gate, const T* up,
                                                        int64_t n, T* grad_gate, T* grad_up) {
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) {
    const float d = widen(grad[i]), g = widen(gate[i]), s = sigmoid(g);
    narrow(d * widen(up[i]) * s * (1 + g * (1 - s)), grad_gate[i]);
    narrow(d * g * s, grad_up[i]);
  }
}

template <class T>
[[gnu::always_inline]] inline void rotate_of(const T* x, const float* cos, const float* sin,
                                             float sign, int64_t half, T* out) {
#pragma omp simd
  for (int64_t i = 0; i < half; ++i) {
    const float a = widen(x[i]), b = widen(x[i + half]), s = sign * sin[i];
    narrow(a * cos[i] - b * s, out[i]);
    narrow(b * cos[i] + a * s, out[i + half]);
  }
}

template <class T>
[[gnu::always_inline]] inline LogitRow logit_statistics_of(const T* logit, float scale, int64_t n) {
  float most = -std::numeric_limits<float>::infinity();
#pragma omp simd reduction(max : most)
  for (int64_t i = 0; i < n; ++i) most = std::max(most, widen(logit[i]));
  float sum = 0, weighted = 0;  // of e^(z - most) and of that times (z - most)
#pragma omp simd reduction(+ : sum, weighted)
  for (int64_t i = 0; i < n; ++i) {
    const float below = scale * (widen(logit[i]) - most), e = fast_exp(below);
    sum += e;
    weighted += e * below;
  }
  const float log_sum = std::log(sum);
  return {scale * most + log_sum, log_sum - weighted / sum};
}

template <class T>
[[gnu::always_inline]] inline void logit_gradient_of(const T* logit, float scale,
                                                     const LogitRow& row, float grad_log_prob,
                                                     float grad_entropy, int64_t n, T* out) {
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) {
    const float log_p = scale * widen(logit[i]) - row.lse;
    const float by_z = grad_log_prob + grad_entropy * (log_p + row.entropy);
    narrow(-scale * fast_exp(log_p) * by_z, out[i]);
  }
}

}  // namespace

[[gnu::target_clones("avx512f", "avx2", "default")]] float max_row(const float* score,
                                                                   int64_t begin, int64_t end,
                                                                   const VisibleKeys& keys) {
  float most = -std::numeric_limits<float>::infinity();
#pragma omp simd reduction(max : most)
  for (int64_t j = begin; j < end; ++j) {
    most = std::max(most, visible(j, keys) ? score[j] : -std::numeric_limits<float>::infinity());
  }
  return most;
}

[[gnu::target_clones("avx512f", "avx2", "default")]] void softmax_grad_rows(
    const SoftmaxRow& row, int64_t begin, int64_t end, float scale, float* gs, float* p_by_query,
    float* gs_by_query) {
#pragma omp simd
  for (int64_t j = begin; j < end; ++j) {
    const SoftmaxGrad g = softmax_grad(row, j, scale);
    p_by_query[j] = g.p;
    gs_by_query[j] = g.gs;
    gs[j] = g.gs;
  }
}

[[gnu::target_clones("avx512f", "avx2", "default")]] void softmax_grad_rows(
    const SoftmaxRow& even, const SoftmaxRow& odd, int64_t begin, int64_t end, float scale,
    BFloat16* gs_even, BFloat16* gs_odd, Bf16Pair* p_by_query, Bf16Pair* gs_by_query) {
  auto* const p_pairs = reinterpret_cast<uint32_t*>(p_by_query);
  auto* const gs_pairs = reinterpret_cast<uint32_t*>(gs_by_query);
#pragma omp simd
  for (int64_t j = begin; j < end; ++j) {
    const SoftmaxGrad a = softmax_grad(even, j, scale), b = softmax_grad(odd, j, scale);
    const uint32_t low = bf16_bits(a.gs), high = bf16_bits(b.gs);
    p_pairs[j] = bf16_bits(a.p) | bf16_bits(b.p) << 16;
    gs_pairs[j] = low | high << 16;
    gs_even[j].x = static_cast<uint16_t>(low);
    gs_odd[j].x = static_cast<uint16_t>(high);
  }
}

[[gnu::target_clones("avx512f", "avx2", "default")]] float exp_row(const float* score,
                                                                   int64_t begin, int64_t end,
                                                                   const VisibleKeys& keys,
                                                                   float scale, float shift,
                                                                   float* out) {
  return exp_row_of(score, begin, end, keys, scale, shift, out);
}
[[gnu::target_clones("avx512f", "avx2", "default")]] float exp_row(const float* score,
                                                                   int64_t begin, int64_t end,
                                                                   const VisibleKeys& keys,
                                                                   float scale, float shift,
                                                                   BFloat16* out) {
  return exp_row_of(score, begin, end, keys, scale, shift, out);
}

[[gnu::target_clones("avx512f", "avx2", "default")]] float dot(const float* a, const float* b,
                                                               int64_t n) {
  return dot_of(a, b, n);
}
[[gnu::target_clones("avx512f", "avx2", "default")]] float dot(const BFloat16* a, const BFloat16* b,
                                                               int64_t n) {
  return dot_of(a, b, n);
}

[[gnu::target_clones("avx512f", "avx2", "default")]] void rms_norm_row(const float* x,
                                                                       const float* weight,
                                                                       float epsilon, int64_t n,
                                                                       float* out) {
  rms_norm_of(x, weight, epsilon, n, out);
}
[[gnu::target_clones("avx512f", "avx2", "default")]] void rms_norm_row(const BFloat16* x,
                                                                       const float* weight,
                                                                       float epsilon, int64_t n,
                                                                       BFloat16* out) {
  rms_norm_of(x, weight, epsilon, n, out);
}

[[gnu::target_clones("avx512f", "avx2", "default")]] void rms_norm_backward_row(
    const float* grad, const float* x, const float* weight, float epsilon, const float* residual,
    int64_t n, float* out) {
  rms_norm_backward_of(grad, x, weight, epsilon, residual, n, out);
}
[[gnu::target_clones("avx512f", "avx2", "default")]] void rms_norm_backward_row(
    const BFloat16* grad, const BFloat16* x, const float* weight, float epsilon,
    const BFloat16* residual, int64_t n, BFloat16* out) {
  rms_norm_backward_of(grad, x, weight, epsilon, residual, n, out);
}

[[gnu::target_clones("avx512f", "avx2", "default")]] void silu_mul_row(const float* gate,
                                                                       const float* up, int64_t n,
                                                                       float* out) {
  silu_mul_of(gate, up, n, out);
}
[[gnu::target_clones("avx512f", "avx2", "default")]] void silu_mul_row(const BFloat16* gate,
                                                                       const BFloat16* up,
                                                                       int64_t n, BFloat16* out) {
  silu_mul_of(gate, up, n, out);
}

[[gnu::target_clones("avx512f", "avx2", "default")]] void silu_mul_backward_row(
    const float* grad, const float* gate, const float* up, int64_t n, float* grad_gate,
    float* grad_up) {
  silu_mul_backward_of(grad, gate, up, n, grad_gate, grad_up);
}
[[gnu::target_clones("avx512f", "avx2", "default")]] void silu_mul_backward_row(
    const BFloat16* grad, const BFloat16* gate, const BFloat16* up, int64_t n, BFloat16* grad_gate,
    BFloat16* grad_up) {
  silu_mul_backward_of(grad, gate, up, n, grad_gate, grad_up);
}

[[gnu::target_clones("avx512f", "avx2", "default")]] void rotate_row(const float* x,
                                                                     const float* cos,
                                                                     const float* sin, float sign,
                                                                     int64_t half, float* out) {
  rotate_of(x, cos, sin, sign, half, out);
}
[[gnu::target_clones("avx512f", "avx2", "default")]] void rotate_row(const BFloat16* x,
                                                                     const float* cos,
                                                                     const float* sin, float sign,
                                                                     int64_t half, BFloat16* out) {
  rotate_of(x, cos, sin, sign, half, out);
}

[[gnu::target_clones("avx512f", "avx2", "default")]] LogitRow logit_statistics(const float* logit,
                                                                               float scale,
                                                                               int64_t n) {
  return logit_statistics_of(logit, scale, n);
}
[[gnu::target_clones("avx512f", "avx2", "default")]] LogitRow logit_statistics(
    const BFloat16* logit, float scale, int64_t n) {
  return logit_statistics_of(logit, scale, n);
}

[[gnu::target_clones("avx512f", "avx2", "default")]] void logit_gradient(
    const float* logit, float scale, const LogitRow& row, float grad_log_prob, float grad_entropy,
    int64_t n, float* out) {
  logit_gradient_of(logit, scale, row, grad_log_prob, grad_entropy, n, out);
}
[[gnu::target_clones("avx512f", "avx2", "default")]] void logit_gradient(
    const BFloat16* logit, float scale, const LogitRow& row, float grad_log_prob,
    float grad_entropy, int64_t n, BFloat16* out) {
  logit_gradient_of(logit, scale, row, grad_log_prob, grad_entropy, n, out);
}

[[gnu::target_clones("avx512f", "avx2", "default")]] void scale_row(const float* x, float factor,
                                                                    int64_t n, float* out) {
  scale_of(x, factor, n, out);
}
[[gnu::target_clones("avx512f", "avx2", "default")]] void scale_row(const float* x, float factor,
                                                                    int64_t n, BFloat16* out) {
  scale_of(x, factor, n, out);
}

[[gnu::target_clones("avx512f", "avx2", "default")]] void add_scaled(const float* x, float factor,
                                                                     int64_t n, float* sum) {
  add_scaled_of(x, factor, n, sum);
}
[[gnu::target_clones("avx512f", "avx2", "default")]] void add_scaled(const BFloat16* x,
                                                                     float factor, int64_t n,
                                                                     float* sum) {
  add_scaled_of(x, factor, n, sum);
}

}  // namespace l2a
