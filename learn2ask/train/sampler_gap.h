// The difference between the log-probabilities that replies were sampled with and the trainer's own
// of the same weights and tokens: 0 but for rounding, and for the quantization of what samples.
#pragma once

#include <cstdint>

#include <ATen/core/Tensor.h>

#include "base/json.h"

namespace l2a {

class SamplerGap {
 public:
  // Both [tokens], on the same device. Without tokens nothing is added.
  void add(const at::Tensor& computed_s, const at::Tensor& sampled_s);

  int64_t tokens() const { return tokens_; }
  // {"sampler_gap", "sampler_gap_max"}: mean and largest absolute difference, nats; null without
  // tokens.
  Json to_json() const;

 private:
  double sum_ = 0, max_ = 0;
  int64_t tokens_ = 0;
};

}  // namespace l2a
