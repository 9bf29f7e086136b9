// Choosing tokens: temperature, top-p, repetition penalty, greedy. The random number of a token
// depends on (seed, row key, token index) only, so from the same logits a row's tokens do not
// depend on its batch.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include <ATen/core/Tensor.h>

#include "base/error.h"
#include "dialogue/policy.h"

namespace l2a {

// A trainer whose weights came to this keeps them as evidence.
class NotFiniteLogits : public Failure {
 public:
  using Failure::Failure;
};

struct SampledToken {
  int32_t id = 0;
  float log_prob =
      0;  // in nats, of the distribution sampled from (temperature included, before top-p)
};

// Uniform in [0, 1) for one token of one row: counter-based (SplitMix64 of the three).
double token_uniform(uint64_t seed, uint64_t row_key, uint64_t token_index);

// What tokens are drawn from the logits of one row.
struct TokenDraws {
  std::vector<double> uniforms;      // one a token to draw
  std::span<const int32_t> history;  // the row's ids so far, for the repetition penalty
};

// [row][draw]: the tokens of each row of `logits_rv` (float32 or bfloat16), rows dealt out to
// threads. The repetition penalty is CTRL's (arXiv 1909.05858), as in Hugging Face. temperature 0
// takes the first of the highest logits; its log_prob is that at temperature 1. Throws
// NotFiniteLogits.
std::vector<std::vector<SampledToken>> sample_tokens(const at::Tensor& logits_rv,
                                                     const DecodingOptions& options,
                                                     std::span<const TokenDraws> draws_r);

// The same from torch's operators, where the logits are: on any device, without top-p and penalty.
// Sums in another order: a token may differ where its number falls on the border of two.
bool can_sample_composed(const DecodingOptions& options);
std::vector<std::vector<SampledToken>> composed_sample_tokens(const at::Tensor& logits_rv,
                                                              const DecodingOptions& options,
                                                              std::span<const TokenDraws> draws_r);

}  // namespace l2a
