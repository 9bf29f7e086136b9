#include "model/rotary.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include <ATen/Parallel.h>
#include <torch/types.h>

#include "base/error.h"

namespace l2a {
namespace {

// Long wavelengths are stretched, short ones kept, those between mixed.
at::Tensor llama3_frequencies(const at::Tensor& f, const RotaryConfig& c) {
  const auto wavelength = 2 * std::numbers::pi / f;
  const auto stretched = f / c.factor;
  const auto share =
      (c.original_positions / wavelength - c.low_factor) / (c.high_factor - c.low_factor);
  const auto mixed = (1 - share) * stretched + share * f;
  return at::where(wavelength > c.original_positions / c.low_factor, stretched,
                   at::where(wavelength < c.original_positions / c.high_factor, f, mixed));
}

// Source: arXiv 2309.00071, section 3.2.
at::Tensor yarn_frequencies(const at::Tensor& f, const RotaryConfig& c, int64_t head_dim) {
  const auto last = static_cast<double>(head_dim - 1);
  // The place, counted in numbers of a head, whose frequency turns so often.
  const auto place = [&](double turns) {
    return static_cast<double>(head_dim) *
           std::log(c.original_positions / (turns * 2 * std::numbers::pi)) /
           (2 * std::log(c.theta));
  };
  double kept = place(c.fast_turns), divided = place(c.slow_turns);
  if (c.whole_places) {
    kept = std::floor(kept);
    divided = std::ceil(divided);
  }
  kept = std::max(kept, 0.0);
  divided = std::min(divided, last);
  if (kept == divided) divided += 0.001;
  const auto share = at::clamp((at::arange(f.numel(), at::kFloat) - kept) / (divided - kept), 0, 1);
  return f / c.factor * share + f * (1 - share);
}

}  // namespace

at::Tensor rotary_frequencies(const RotaryConfig& c, int64_t head_dim) {
  const auto exponent = at::arange(0, head_dim, 2, at::kFloat) / static_cast<double>(head_dim);
  auto f = at::pow(c.theta, exponent).reciprocal();
  if (c.scaling == RotaryScaling::kLinear) f = f / c.factor;
  if (c.scaling == RotaryScaling::kLlama3) f = llama3_frequencies(f, c);
  if (c.scaling == RotaryScaling::kYarn) f = yarn_frequencies(f, c, head_dim);
  if (c.divisors.empty()) return f;
  check(static_cast<int64_t>(c.divisors.size()) == f.numel(), "rotary: one divisor a frequency");
  return f / at::tensor(c.divisors);
}

at::Tensor rotary_divisors(const RotaryConfig& c, int64_t head_dim) {
  return rotary_frequencies({.theta = c.theta}, head_dim) / rotary_frequencies(c, head_dim);
}

RotaryTable rotary_table(std::span<const int64_t> positions, const RotaryConfig& rotary,
                         int64_t head_dim, at::Device device) {
  // Angle by angle on the CPU: a vector loop rounds the last few of a tensor otherwise than the
  // same angles elsewhere in it.
  const auto frequency_f = rotary_frequencies(rotary, head_dim);
  const auto position_n = at::tensor(at::ArrayRef<int64_t>(positions.data(), positions.size()));
  const auto angle_nf = position_n.to(at::kFloat).unsqueeze(1) * frequency_f;
  const auto* const angle = angle_nf.const_data_ptr<float>();
  const auto both = at::empty({2, angle_nf.size(0), angle_nf.size(1)}, at::kFloat);
  auto* const cos = both.data_ptr<float>();
  auto* const sin = cos + angle_nf.numel();
  const auto factor = static_cast<float>(rotary.attention_factor);
  at::parallel_for(0, angle_nf.numel(), 4096, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      cos[i] = std::cos(angle[i]) * factor;
      sin[i] = std::sin(angle[i]) * factor;
    }
  });
  const auto there = both.to(device);
  return {there[0], there[1]};
}

}  // namespace l2a
