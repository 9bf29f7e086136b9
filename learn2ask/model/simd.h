// Sixteen numbers side by side, as GCC's vector extensions have them: a function that is cloned
// for an instruction set runs on the widest vectors there. What is written as a plain loop with a
// clamp or a mask, the compiler turns into branches and leaves scalar. All is inlined into the
// clones. Scalars have the same functions. Private to this module.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>

#include <c10/util/BFloat16.h>

#define L2A_INLINE [[gnu::always_inline]] inline
#define L2A_INLINE_LAMBDA __attribute__((always_inline))
#define L2A_CLONES [[gnu::target_clones("avx512f", "avx2", "default")]]

namespace l2a {

using c10::BFloat16;

constexpr int64_t kLanes = 16;
using Floats = float __attribute__((vector_size(64)));
using Ints = int32_t __attribute__((vector_size(64)));
using Words = uint32_t __attribute__((vector_size(64)));
using HalfWords = uint16_t __attribute__((vector_size(32)));

// How many of the sixteen there are: all, or the last few of a row.
struct Whole {
  static constexpr int64_t count = kLanes;
};
struct Part {
  int64_t count;
};

// body(i, lanes) for i = 0, 16, ... below n.
template <class Body>
L2A_INLINE void for_lanes(int64_t n, const Body& body) {
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) body(i, Whole{});
  if (i < n) body(i, Part{n - i});
}

L2A_INLINE Floats splat(float x) { return Floats{} + x; }
L2A_INLINE Ints lane_numbers() {
  return Ints{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
}

// Lanes beyond the count are zeros.
template <class Lanes>
L2A_INLINE Floats load(const float* from, Lanes lanes) {
  Floats x{};
  std::memcpy(&x, from, static_cast<size_t>(lanes.count) * sizeof(float));
  return x;
}
template <class Lanes>
L2A_INLINE Floats load(const BFloat16* from, Lanes lanes) {
  HalfWords x{};
  std::memcpy(&x, from, static_cast<size_t>(lanes.count) * sizeof(BFloat16));
  return std::bit_cast<Floats>(__builtin_convertvector(x, Words) << 16);
}

// Round to nearest, ties to even, into the low half. Quiet NaNs stay NaN. T: Words or uint32_t.
template <class T>
L2A_INLINE T rounded_bits(T bits) {
  return (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
}
L2A_INLINE Words bf16_bits(Floats x) { return rounded_bits(std::bit_cast<Words>(x)); }

template <class Lanes>
L2A_INLINE void store(Floats x, float* to, Lanes lanes) {
  std::memcpy(to, &x, static_cast<size_t>(lanes.count) * sizeof(float));
}
template <class Lanes>
L2A_INLINE void store(Floats x, BFloat16* to, Lanes lanes) {
  const HalfWords bits = __builtin_convertvector(bf16_bits(x), HalfWords);
  std::memcpy(static_cast<void*>(to), &bits, static_cast<size_t>(lanes.count) * sizeof(BFloat16));
}

// `x` in the lanes that there are, `otherwise` in the rest.
L2A_INLINE Floats only(Whole, Floats x, float) { return x; }
L2A_INLINE Floats only(Part lanes, Floats x, float otherwise) {
  return lane_numbers() < static_cast<int32_t>(lanes.count) ? x : splat(otherwise);
}

L2A_INLINE Floats larger(Floats a, Floats b) { return a > b ? a : b; }

// In a fixed order: halves, quarters, ...
L2A_INLINE float total(Floats x) {
  for (int64_t half = kLanes / 2; half > 0; half /= 2) {
    for (int64_t i = 0; i < half; ++i) x[i] += x[i + half];
  }
  return x[0];
}
L2A_INLINE float largest(Floats x) {
  float most = x[0];
  for (int64_t i = 1; i < kLanes; ++i) most = x[i] > most ? x[i] : most;
  return most;
}

// e^x to 2 ulps; x is taken into [-87, 88] first, so the result is finite and above 0. NaN stays.
L2A_INLINE Floats fast_exp(Floats x) {
  x = x < -87.0f ? splat(-87.0f) : x;
  x = x > 88.0f ? splat(88.0f) : x;
  const Floats shifted = x * 1.44269504f + 12582912.0f;  // rounds to an integer in the low bits
  const Floats n = shifted - 12582912.0f;
  const Floats r = (x - n * 0.693359375f) + n * 2.12194440e-4f;
  Floats p = splat(1.9875691500e-4f);  // Cephes' expf
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * r * r + r + 1.0f;
  return std::bit_cast<Floats>(std::bit_cast<Words>(p) + (std::bit_cast<Words>(shifted) << 23));
}
inline float fast_exp(float x) { return fast_exp(splat(x))[0]; }

inline float widen(float x) { return x; }
inline float widen(BFloat16 x) { return std::bit_cast<float>(static_cast<uint32_t>(x.x) << 16); }
inline void narrow(float x, float& out) { out = x; }
inline void narrow(float x, BFloat16& out) {
  out.x = static_cast<uint16_t>(rounded_bits(std::bit_cast<uint32_t>(x)));
}

}  // namespace l2a
