// Rotary position embedding: the angles by which queries and keys are turned.
// Source: arXiv 2104.09864; scaling as transformers' modeling_rope_utils has it.
//
// Shape suffixes: n tokens, f half a head dim.
#pragma once

#include <cstdint>
#include <span>

#include <ATen/core/Tensor.h>

#include "model/config.h"

namespace l2a {

// Radians a position, float32 [f], on the CPU.
at::Tensor rotary_frequencies(const RotaryConfig& rotary, int64_t head_dim);

// By how much scaling divides each frequency, float32 [f]: GGUF's "rope_freqs.weight".
at::Tensor rotary_divisors(const RotaryConfig& rotary, int64_t head_dim);

// cos and sin of position times frequency, times the attention factor; float32 [n, f] on `device`.
struct RotaryTable {
  at::Tensor cos_nf, sin_nf;
};
RotaryTable rotary_table(std::span<const int64_t> positions, const RotaryConfig& rotary,
                         int64_t head_dim, at::Device device);

}  // namespace l2a
