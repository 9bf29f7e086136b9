// Numbers as the CPU kernels hold them. Private to this module.
#pragma once

#include <bit>
#include <cstdint>

#include <c10/util/BFloat16.h>

namespace l2a {

using c10::BFloat16;

constexpr int64_t kLanes = 16;  // floats of the widest vector

// Whether this processor has AVX2 and its fused multiply-add, which our AVX2 kernels use.
inline bool has_avx2() { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }

inline float widen(float x) { return x; }
inline float widen(BFloat16 x) { return std::bit_cast<float>(static_cast<uint32_t>(x.x) << 16); }

// Round to nearest, ties to even. Quiet NaNs stay NaN.
inline void narrow(float x, float& out) { out = x; }
inline void narrow(float x, BFloat16& out) {
  const auto bits = std::bit_cast<uint32_t>(x);
  out.x = static_cast<uint16_t>((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}

}  // namespace l2a
