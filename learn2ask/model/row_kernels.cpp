#include "model/row_kernels.h"

#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

#define L2A_INLINE [[gnu::always_inline]] inline
#define L2A_INLINE_LAMBDA __attribute__((always_inline))

namespace l2a {

namespace baseline {
#define L2A_VECTOR_BYTES 16
#include "model/row_kernels.inc"
#undef L2A_VECTOR_BYTES
}  // namespace baseline

#pragma GCC push_options
#pragma GCC target("avx2,fma")
namespace avx2 {
#define L2A_VECTOR_BYTES 32
#include "model/row_kernels.inc"
#undef L2A_VECTOR_BYTES
}  // namespace avx2
#pragma GCC pop_options

#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")
namespace avx512 {
#define L2A_VECTOR_BYTES 64
#include "model/row_kernels.inc"
#undef L2A_VECTOR_BYTES
}  // namespace avx512
#pragma GCC pop_options

namespace {

enum class InstructionSet { kBaseline, kAvx2, kAvx512 };

InstructionSet widest() {
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl")) {
    return InstructionSet::kAvx512;
  }
  return has_avx2() ? InstructionSet::kAvx2 : InstructionSet::kBaseline;
}

const InstructionSet kWidest = widest();

}  // namespace

#define L2A_DISPATCH(call)          \
  switch (kWidest) {                \
    case InstructionSet::kAvx512:   \
      return avx512::call;          \
    case InstructionSet::kAvx2:     \
      return avx2::call;            \
    case InstructionSet::kBaseline: \
      break;                        \
  }                                 \
  return baseline::call

float max_row(const float* score, int64_t begin, int64_t end, const VisibleKeys& keys) {
  L2A_DISPATCH(max_row(score, begin, end, keys));
}
void softmax_grad_rows(const SoftmaxRow& row, int64_t begin, int64_t end, float scale, float* gs,
                       float* p_by_query, float* gs_by_query) {
  L2A_DISPATCH(softmax_grad_rows(row, begin, end, scale, gs, p_by_query, gs_by_query));
}
void softmax_grad_rows(const SoftmaxRow& even, const SoftmaxRow& odd, int64_t begin, int64_t end,
                       float scale, BFloat16* gs_even, BFloat16* gs_odd, Bf16Pair* p_by_query,
                       Bf16Pair* gs_by_query) {
  L2A_DISPATCH(
      softmax_grad_rows(even, odd, begin, end, scale, gs_even, gs_odd, p_by_query, gs_by_query));
}
float exp_row(const float* score, int64_t begin, int64_t end, const VisibleKeys& keys, float scale,
              float shift, float* out) {
  L2A_DISPATCH(exp_row(score, begin, end, keys, scale, shift, out));
}
float exp_row(const float* score, int64_t begin, int64_t end, const VisibleKeys& keys, float scale,
              float shift, BFloat16* out) {
  L2A_DISPATCH(exp_row(score, begin, end, keys, scale, shift, out));
}
float dot(const float* a, const float* b, int64_t n) { L2A_DISPATCH(dot(a, b, n)); }
float dot(const BFloat16* a, const BFloat16* b, int64_t n) { L2A_DISPATCH(dot(a, b, n)); }
float sum(const float* x, int64_t n) { L2A_DISPATCH(sum(x, n)); }
void rms_norm_row(const float* x, const float* weight, float epsilon, int64_t n, float* out) {
  L2A_DISPATCH(rms_norm_row(x, weight, epsilon, n, out));
}
void rms_norm_row(const BFloat16* x, const float* weight, float epsilon, int64_t n, BFloat16* out) {
  L2A_DISPATCH(rms_norm_row(x, weight, epsilon, n, out));
}
void rms_norm_backward_row(const float* grad, const float* x, const float* weight, float epsilon,
                           const float* residual, int64_t n, float* out) {
  L2A_DISPATCH(rms_norm_backward_row(grad, x, weight, epsilon, residual, n, out));
}
void rms_norm_backward_row(const BFloat16* grad, const BFloat16* x, const float* weight,
                           float epsilon, const BFloat16* residual, int64_t n, BFloat16* out) {
  L2A_DISPATCH(rms_norm_backward_row(grad, x, weight, epsilon, residual, n, out));
}
void gated_row(Activation activation, const float* gate, const float* up, int64_t n, float* out) {
  L2A_DISPATCH(gated_row(activation, gate, up, n, out));
}
void gated_row(Activation activation, const BFloat16* gate, const BFloat16* up, int64_t n,
               BFloat16* out) {
  L2A_DISPATCH(gated_row(activation, gate, up, n, out));
}
void gated_backward_row(Activation activation, const float* grad, const float* gate,
                        const float* up, int64_t n, float* grad_gate, float* grad_up) {
  L2A_DISPATCH(gated_backward_row(activation, grad, gate, up, n, grad_gate, grad_up));
}
void gated_backward_row(Activation activation, const BFloat16* grad, const BFloat16* gate,
                        const BFloat16* up, int64_t n, BFloat16* grad_gate, BFloat16* grad_up) {
  L2A_DISPATCH(gated_backward_row(activation, grad, gate, up, n, grad_gate, grad_up));
}
void rotate_row(const float* x, const float* cos, const float* sin, float sign, int64_t half,
                float* out) {
  L2A_DISPATCH(rotate_row(x, cos, sin, sign, half, out));
}
void rotate_row(const BFloat16* x, const float* cos, const float* sin, float sign, int64_t half,
                BFloat16* out) {
  L2A_DISPATCH(rotate_row(x, cos, sin, sign, half, out));
}
LogitRow logit_statistics(const float* logit, float scale, int64_t n) {
  L2A_DISPATCH(logit_statistics(logit, scale, n));
}
LogitRow logit_statistics(const BFloat16* logit, float scale, int64_t n) {
  L2A_DISPATCH(logit_statistics(logit, scale, n));
}
void logit_gradient(const float* logit, float scale, const LogitRow& row, float grad_log_prob,
                    float grad_entropy, int64_t n, float* out) {
  L2A_DISPATCH(logit_gradient(logit, scale, row, grad_log_prob, grad_entropy, n, out));
}
void logit_gradient(const BFloat16* logit, float scale, const LogitRow& row, float grad_log_prob,
                    float grad_entropy, int64_t n, BFloat16* out) {
  L2A_DISPATCH(logit_gradient(logit, scale, row, grad_log_prob, grad_entropy, n, out));
}
void exp_logits(const float* logit, float scale, int64_t n, float* out) {
  L2A_DISPATCH(exp_logits(logit, scale, n, out));
}
void exp_logits(const BFloat16* logit, float scale, int64_t n, float* out) {
  L2A_DISPATCH(exp_logits(logit, scale, n, out));
}
void scale_row(const float* x, float factor, int64_t n, float* out) {
  L2A_DISPATCH(scale_row(x, factor, n, out));
}
void scale_row(const float* x, float factor, int64_t n, BFloat16* out) {
  L2A_DISPATCH(scale_row(x, factor, n, out));
}
void add_scaled(const float* x, float factor, int64_t n, float* sum) {
  L2A_DISPATCH(add_scaled(x, factor, n, sum));
}
void add_scaled(const BFloat16* x, float factor, int64_t n, float* sum) {
  L2A_DISPATCH(add_scaled(x, factor, n, sum));
}

}  // namespace l2a
