#include "model/row_kernels.h"

#include <cmath>
#include <limits>

// Each public function is a clone per instruction set around an inlined template.

namespace l2a {
namespace {

constexpr float kNever = -std::numeric_limits<float>::infinity();

// Of columns j .. j + 15.
L2A_INLINE Ints visible(int64_t j, const VisibleKeys& keys) {
  const Ints column = lane_numbers() + static_cast<int32_t>(j);
  return (column < static_cast<int32_t>(keys.prefix)) |
         ((column >= static_cast<int32_t>(keys.first)) &
          (column <= static_cast<int32_t>(keys.last)));
}

template <class T>
L2A_INLINE float exp_row_of(const float* score, int64_t begin, int64_t end, const VisibleKeys& keys,
                            float scale, float shift, T* out) {
  Floats sum{};
  for (int64_t j = begin; j < end; j += kLanes) {
    const Floats e = fast_exp(load(score + j, Whole{}) * scale - shift);
    const Floats seen = visible(j, keys) ? e : Floats{};
    sum += seen;
    store(seen, out + j, Whole{});
  }
  return total(sum);
}

struct SoftmaxGrad {
  Floats p, gs;
};

L2A_INLINE SoftmaxGrad softmax_grad(const SoftmaxRow& row, int64_t j, float scale) {
  const Floats e = fast_exp(load(row.score + j, Whole{}) * scale - row.lse);
  const Floats p = visible(j, row.keys) ? e : Floats{};
  return {p, p * (load(row.grad + j, Whole{}) - row.delta) * scale};
}

template <class T>
L2A_INLINE float dot_of(const T* a, const T* b, int64_t n) {
  Floats sum{};
  for_lanes(n, [&](int64_t i, auto lanes)
                   L2A_INLINE_LAMBDA { sum += load(a + i, lanes) * load(b + i, lanes); });
  return total(sum);
}

template <class T>
L2A_INLINE void rms_norm_of(const T* x, const float* weight, float epsilon, int64_t n, T* out) {
  const float inverse = 1 / std::sqrt(dot_of(x, x, n) / static_cast<float>(n) + epsilon);
  for_lanes(n, [&](int64_t i, auto lanes) L2A_INLINE_LAMBDA {
    store(load(x + i, lanes) * inverse * load(weight + i, lanes), out + i, lanes);
  });
}

template <class T>
L2A_INLINE void rms_norm_backward_of(const T* grad, const T* x, const float* weight, float epsilon,
                                     const T* residual, int64_t n, T* out) {
  Floats squares{}, along{};
  for_lanes(n, [&](int64_t i, auto lanes) L2A_INLINE_LAMBDA {
    const Floats at = load(x + i, lanes);
    squares += at * at;
    along += load(grad + i, lanes) * load(weight + i, lanes) * at;
  });
  const float inverse = 1 / std::sqrt(total(squares) / static_cast<float>(n) + epsilon);
  const float shrink = total(along) * inverse * inverse / static_cast<float>(n);
  for_lanes(n, [&](int64_t i, auto lanes) L2A_INLINE_LAMBDA {
    const Floats past = residual ? load(residual + i, lanes) : Floats{};
    const Floats through =
        load(grad + i, lanes) * load(weight + i, lanes) - load(x + i, lanes) * shrink;
    store(past + through * inverse, out + i, lanes);
  });
}

template <class T>
L2A_INLINE void scale_of(const float* x, float factor, int64_t n, T* out) {
  for_lanes(n, [&](int64_t i, auto lanes)
                   L2A_INLINE_LAMBDA { store(load(x + i, lanes) * factor, out + i, lanes); });
}

template <class T>
L2A_INLINE void add_scaled_of(const T* x, float factor, int64_t n, float* sum) {
  for_lanes(n, [&](int64_t i, auto lanes) L2A_INLINE_LAMBDA {
    store(load(sum + i, lanes) + load(x + i, lanes) * factor, sum + i, lanes);
  });
}

L2A_INLINE Floats sigmoid(Floats x) { return 1.0f / (fast_exp(-x) + 1.0f); }

template <class T>
L2A_INLINE void silu_mul_of(const T* gate, const T* up, int64_t n, T* out) {
  for_lanes(n, [&](int64_t i, auto lanes) L2A_INLINE_LAMBDA {
    const Floats g = load(gate + i, lanes);
    store(g * sigmoid(g) * load(up + i, lanes), out + i, lanes);
  });
}

template <class T>
L2A_INLINE void silu_mul_backward_of(const T* grad, const T* gate, const T* up, int64_t n,
                                     T* grad_gate, T* grad_up) {
  for_lanes(n, [&](int64_t i, auto lanes) L2A_INLINE_LAMBDA {
    const Floats d = load(grad + i, lanes), g = load(gate + i, lanes), s = sigmoid(g);
    store(d * load(up + i, lanes) * s * (g * (1.0f - s) + 1.0f), grad_gate + i, lanes);
    store(d * g * s, grad_up + i, lanes);
  });
}

template <class T>
L2A_INLINE void rotate_of(const T* x, const float* cos, const float* sin, float sign, int64_t half,
                          T* out) {
  for_lanes(half, [&](int64_t i, auto lanes) L2A_INLINE_LAMBDA {
    const Floats a = load(x + i, lanes), b = load(x + i + half, lanes);
    const Floats c = load(cos + i, lanes), s = load(sin + i, lanes) * sign;
    store(a * c - b * s, out + i, lanes);
    store(b * c + a * s, out + i + half, lanes);
  });
}

template <class T>
L2A_INLINE float max_logit_of(const T* logit, int64_t n) {
  Floats most = splat(kNever);
  for_lanes(n, [&](int64_t i, auto lanes) L2A_INLINE_LAMBDA {
    most = larger(most, only(lanes, load(logit + i, lanes), kNever));
  });
  return largest(most);
}

template <class T>
L2A_INLINE LogitRow logit_statistics_of(const T* logit, float scale, int64_t n) {
  const float most = max_logit_of(logit, n);
  Floats sum{}, weighted{};  // of e^(z - most) and of that times (z - most)
  for_lanes(n, [&](int64_t i, auto lanes) L2A_INLINE_LAMBDA {
    const Floats below = (load(logit + i, lanes) - most) * scale;
    const Floats e = only(lanes, fast_exp(below), 0);
    sum += e;
    weighted += e * below;
  });
  const float log_sum = std::log(total(sum));
  return {scale * most + log_sum, log_sum - total(weighted) / total(sum)};
}

template <class T>
L2A_INLINE void logit_gradient_of(const T* logit, float scale, const LogitRow& row,
                                  float grad_log_prob, float grad_entropy, int64_t n, T* out) {
  for_lanes(n, [&](int64_t i, auto lanes) L2A_INLINE_LAMBDA {
    const Floats log_p = load(logit + i, lanes) * scale - row.lse;
    const Floats by_z = (log_p + row.entropy) * grad_entropy + grad_log_prob;
    store(fast_exp(log_p) * by_z * -scale, out + i, lanes);
  });
}

template <class T>
L2A_INLINE void exp_logits_of(const T* logit, float scale, int64_t n, float* out) {
  const float most = max_logit_of(logit, n);
  for_lanes(n, [&](int64_t i, auto lanes) L2A_INLINE_LAMBDA {
    const Floats x = load(logit + i, lanes);
    store(x == kNever ? Floats{} : fast_exp((x - most) * scale), out + i, lanes);
  });
}

}  // namespace

L2A_CLONES float max_row(const float* score, int64_t begin, int64_t end, const VisibleKeys& keys) {
  Floats most = splat(kNever);
  for (int64_t j = begin; j < end; j += kLanes) {
    most = larger(most, visible(j, keys) ? load(score + j, Whole{}) : splat(kNever));
  }
  return largest(most);
}

L2A_CLONES void softmax_grad_rows(const SoftmaxRow& row, int64_t begin, int64_t end, float scale,
                                  float* gs, float* p_by_query, float* gs_by_query) {
  for (int64_t j = begin; j < end; j += kLanes) {
    const SoftmaxGrad g = softmax_grad(row, j, scale);
    store(g.p, p_by_query + j, Whole{});
    store(g.gs, gs_by_query + j, Whole{});
    store(g.gs, gs + j, Whole{});
  }
}

L2A_CLONES void softmax_grad_rows(const SoftmaxRow& even, const SoftmaxRow& odd, int64_t begin,
                                  int64_t end, float scale, BFloat16* gs_even, BFloat16* gs_odd,
                                  Bf16Pair* p_by_query, Bf16Pair* gs_by_query) {
  const auto store_pairs = [](Floats low, Floats high, Bf16Pair* to) L2A_INLINE_LAMBDA {
    const Words pairs = bf16_bits(low) | bf16_bits(high) << 16;
    std::memcpy(static_cast<void*>(to), &pairs, sizeof pairs);
  };
  for (int64_t j = begin; j < end; j += kLanes) {
    const SoftmaxGrad a = softmax_grad(even, j, scale), b = softmax_grad(odd, j, scale);
    store_pairs(a.p, b.p, p_by_query + j);
    store_pairs(a.gs, b.gs, gs_by_query + j);
    store(a.gs, gs_even + j, Whole{});
    store(b.gs, gs_odd + j, Whole{});
  }
}

L2A_CLONES float exp_row(const float* score, int64_t begin, int64_t end, const VisibleKeys& keys,
                         float scale, float shift, float* out) {
  return exp_row_of(score, begin, end, keys, scale, shift, out);
}
L2A_CLONES float exp_row(const float* score, int64_t begin, int64_t end, const VisibleKeys& keys,
                         float scale, float shift, BFloat16* out) {
  return exp_row_of(score, begin, end, keys, scale, shift, out);
}

L2A_CLONES float dot(const float* a, const float* b, int64_t n) { return dot_of(a, b, n); }
L2A_CLONES float dot(const BFloat16* a, const BFloat16* b, int64_t n) { return dot_of(a, b, n); }

L2A_CLONES float sum(const float* x, int64_t n) {
  Floats s{};
  for_lanes(n, [&](int64_t i, auto lanes) L2A_INLINE_LAMBDA { s += load(x + i, lanes); });
  return total(s);
}

L2A_CLONES void rms_norm_row(const float* x, const float* weight, float epsilon, int64_t n,
                             float* out) {
  rms_norm_of(x, weight, epsilon, n, out);
}
L2A_CLONES void rms_norm_row(const BFloat16* x, const float* weight, float epsilon, int64_t n,
                             BFloat16* out) {
  rms_norm_of(x, weight, epsilon, n, out);
}

L2A_CLONES void rms_norm_backward_row(const float* grad, const float* x, const float* weight,
                                      float epsilon, const float* residual, int64_t n, float* out) {
  rms_norm_backward_of(grad, x, weight, epsilon, residual, n, out);
}
L2A_CLONES void rms_norm_backward_row(const BFloat16* grad, const BFloat16* x, const float* weight,
                                      float epsilon, const BFloat16* residual, int64_t n,
                                      BFloat16* out) {
  rms_norm_backward_of(grad, x, weight, epsilon, residual, n, out);
}

L2A_CLONES void silu_mul_row(const float* gate, const float* up, int64_t n, float* out) {
  silu_mul_of(gate, up, n, out);
}
L2A_CLONES void silu_mul_row(const BFloat16* gate, const BFloat16* up, int64_t n, BFloat16* out) {
  silu_mul_of(gate, up, n, out);
}

L2A_CLONES void silu_mul_backward_row(const float* grad, const float* gate, const float* up,
                                      int64_t n, float* grad_gate, float* grad_up) {
  silu_mul_backward_of(grad, gate, up, n, grad_gate, grad_up);
}
L2A_CLONES void silu_mul_backward_row(const BFloat16* grad, const BFloat16* gate,
                                      const BFloat16* up, int64_t n, BFloat16* grad_gate,
                                      BFloat16* grad_up) {
  silu_mul_backward_of(grad, gate, up, n, grad_gate, grad_up);
}

L2A_CLONES void rotate_row(const float* x, const float* cos, const float* sin, float sign,
                           int64_t half, float* out) {
  rotate_of(x, cos, sin, sign, half, out);
}
L2A_CLONES void rotate_row(const BFloat16* x, const float* cos, const float* sin, float sign,
                           int64_t half, BFloat16* out) {
  rotate_of(x, cos, sin, sign, half, out);
}

L2A_CLONES LogitRow logit_statistics(const float* logit, float scale, int64_t n) {
  return logit_statistics_of(logit, scale, n);
}
L2A_CLONES LogitRow logit_statistics(const BFloat16* logit, float scale, int64_t n) {
  return logit_statistics_of(logit, scale, n);
}

L2A_CLONES void logit_gradient(const float* logit, float scale, const LogitRow& row,
                               float grad_log_prob, float grad_entropy, int64_t n, float* out) {
  logit_gradient_of(logit, scale, row, grad_log_prob, grad_entropy, n, out);
}
L2A_CLONES void logit_gradient(const BFloat16* logit, float scale, const LogitRow& row,
                               float grad_log_prob, float grad_entropy, int64_t n, BFloat16* out) {
  logit_gradient_of(logit, scale, row, grad_log_prob, grad_entropy, n, out);
}

L2A_CLONES void exp_logits(const float* logit, float scale, int64_t n, float* out) {
  exp_logits_of(logit, scale, n, out);
}
L2A_CLONES void exp_logits(const BFloat16* logit, float scale, int64_t n, float* out) {
  exp_logits_of(logit, scale, n, out);
}

L2A_CLONES void scale_row(const float* x, float factor, int64_t n, float* out) {
  scale_of(x, factor, n, out);
}
L2A_CLONES void scale_row(const float* x, float factor, int64_t n, BFloat16* out) {
  scale_of(x, factor, n, out);
}

L2A_CLONES void add_scaled(const float* x, float factor, int64_t n, float* sum) {
  add_scaled_of(x, factor, n, sum);
}
L2A_CLONES void add_scaled(const BFloat16* x, float factor, int64_t n, float* sum) {
  add_scaled_of(x, factor, n, sum);
}

}  // namespace l2a
