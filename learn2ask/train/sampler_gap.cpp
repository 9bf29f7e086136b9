#include "train/sampler_gap.h"

#include <algorithm>

#include <ATen/ATen.h>

namespace l2a {

void SamplerGap::add(const at::Tensor& computed_s, const at::Tensor& sampled_s) {
  if (sampled_s.numel() == 0) return;
  const auto gap_s = (computed_s.detach() - sampled_s).abs();
  sum_ += gap_s.sum().item<double>();
  max_ = std::max(max_, gap_s.max().item<double>());
  tokens_ += gap_s.numel();
}

Json SamplerGap::to_json() const {
  if (tokens_ == 0) return {{"sampler_gap", nullptr}, {"sampler_gap_max", nullptr}};
  return {{"sampler_gap", sum_ / static_cast<double>(tokens_)}, {"sampler_gap_max", max_}};
}

}  // namespace l2a
