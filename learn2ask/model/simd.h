// Scalar helpers that loops over rows are made of; each vectorises. Private to this module.
#pragma once

#include <bit>
#include <cstdint>

#include <c10/util/BFloat16.h>

namespace l2a {

using c10::BFloat16;

inline float widen(float x) { return x; }
inline float widen(BFloat16 x) { return std::bit_cast<float>(static_cast<uint32_t>(x.x) << 16); }

// Round to nearest, ties to even. NaN stays NaN.
inline uint32_t bf16_bits(float x) {
  const uint32_t bits = std::bit_cast<uint32_t>(x);
  return (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
}
inline void narrow(float x, float& out) { out = x; }
inline void narrow(float x, BFloat16& out) { out.x = static_cast<uint16_t>(bf16_bits(x)); }

// e^x to 2 ulps; x is taken into [-87, 88] first, so the result is finite and above 0. NaN stays.
inline float fast_exp(float x) {
  x = x < -87.0f ? -87.0f : x;
  x = x > 88.0f ? 88.0f : x;
  const float shifted = x * 1.44269504f + 12582912.0f;  // rounds to an integer in the low bits
  const float n = shifted - 12582912.0f;
  const float r = (x - n * 0.693359375f) + n * 2.12194440e-4f;
  float p = 1.9875691500e-4f;  // Cephes' expf
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * r * r + r + 1.0f;
  const uint32_t power = std::bit_cast<uint32_t>(shifted) << 23;
  return std::bit_cast<float>(std::bit_cast<uint32_t>(p) + power);
}

}  // namespace l2a
