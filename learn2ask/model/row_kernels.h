// The row loops of softmax, of the elementwise operators and of sampling, on one thread, in
// float32 inside. Each runs in the widest vectors that the processor has; sums are taken in a
// fixed order of sixteen lanes, so the bits are the same on all of them but for fused
// multiply-adds.
#pragma once

#include <cstdint>

#include "model/config.h"
#include "model/panel.h"
#include "model/simd.h"

namespace l2a {

// The keys that one query sees: columns [begin, prefix) and [first, last].
struct VisibleKeys {
  int64_t prefix, first, last, begin;
};

// A softmax row before normalisation: out = exp(scale * score - shift) where visible, else 0,
// over columns [begin, end), both multiples of 16 here and below. Returns the sum.
float exp_row(const float* score, int64_t begin, int64_t end, const VisibleKeys& keys, float scale,
              float shift, float* out);
float exp_row(const float* score, int64_t begin, int64_t end, const VisibleKeys& keys, float scale,
              float shift, BFloat16* out);
// The largest visible score of columns [begin, end); -infinity when there is none.
float max_row(const float* score, int64_t begin, int64_t end, const VisibleKeys& keys);

// What the gradient of a softmax row needs.
struct SoftmaxRow {
  const float* score;
  const float* grad;  // of the probabilities
  VisibleKeys keys;
  float lse, delta;  // delta: sum of probability * grad
};
// Over columns [begin, end): p = exp(scale * score - lse) and gs = scale * p * (grad - delta),
// both 0 where not visible. As left operands of products along the keys (gs) and, for each pair
// of rows, along the queries (the others).
void softmax_grad_rows(const SoftmaxRow& row, int64_t begin, int64_t end, float scale, float* gs,
                       float* p_by_query, float* gs_by_query);
void softmax_grad_rows(const SoftmaxRow& even, const SoftmaxRow& odd, int64_t begin, int64_t end,
                       float scale, BFloat16* gs_even, BFloat16* gs_odd, Bf16Pair* p_by_query,
                       Bf16Pair* gs_by_query);

float dot(const float* a, const float* b, int64_t n);
float dot(const BFloat16* a, const BFloat16* b, int64_t n);
float sum(const float* x, int64_t n);
// out = factor * x
void scale_row(const float* x, float factor, int64_t n, float* out);
void scale_row(const float* x, float factor, int64_t n, BFloat16* out);
// sum += factor * x
void add_scaled(const float* x, float factor, int64_t n, float* sum);
void add_scaled(const BFloat16* x, float factor, int64_t n, float* sum);

// As the operators of ops.h, row by row.
void rms_norm_row(const float* x, const float* weight, float epsilon, int64_t n, float* out);
void rms_norm_row(const BFloat16* x, const float* weight, float epsilon, int64_t n, BFloat16* out);
// `residual` may be null.
void rms_norm_backward_row(const float* grad, const float* x, const float* weight, float epsilon,
                           const float* residual, int64_t n, float* out);
void rms_norm_backward_row(const BFloat16* grad, const BFloat16* x, const float* weight,
                           float epsilon, const BFloat16* residual, int64_t n, BFloat16* out);
void gated_row(Activation activation, const float* gate, const float* up, int64_t n, float* out);
void gated_row(Activation activation, const BFloat16* gate, const BFloat16* up, int64_t n,
               BFloat16* out);
void gated_backward_row(Activation activation, const float* grad, const float* gate,
                        const float* up, int64_t n, float* grad_gate, float* grad_up);
void gated_backward_row(Activation activation, const BFloat16* grad, const BFloat16* gate,
                        const BFloat16* up, int64_t n, BFloat16* grad_gate, BFloat16* grad_up);
// One head of 2 * half numbers turned by the angles; `sign` -1 turns back.
void rotate_row(const float* x, const float* cos, const float* sin, float sign, int64_t half,
                float* out);
void rotate_row(const BFloat16* x, const float* cos, const float* sin, float sign, int64_t half,
                BFloat16* out);

// Of z = scale * logit: log of the sum of exponentials, and entropy of the softmax.
struct LogitRow {
  float lse, entropy;
};
LogitRow logit_statistics(const float* logit, float scale, int64_t n);
LogitRow logit_statistics(const BFloat16* logit, float scale, int64_t n);
// Gradient of grad_log_prob * log p(target) + grad_entropy * entropy by the logits, but for the
// target's own + grad_log_prob * scale.
void logit_gradient(const float* logit, float scale, const LogitRow& row, float grad_log_prob,
                    float grad_entropy, int64_t n, float* out);
void logit_gradient(const BFloat16* logit, float scale, const LogitRow& row, float grad_log_prob,
                    float grad_entropy, int64_t n, BFloat16* out);
// out = exp(scale * (logit - the largest)), 0 for a logit of -infinity: the softmax before it is
// divided by its sum. NaN for a logit that is NaN or +infinity.
void exp_logits(const float* logit, float scale, int64_t n, float* out);
void exp_logits(const BFloat16* logit, float scale, int64_t n, float* out);

}  // namespace l2a
