// Floats to blocks (arithmetic: the gguf Python package's quants.py). Built with
// -ffp-contract=off, as stored_tensor.cpp is.
#include "weights/planned_tensor.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

#include "base/error.h"
#include "weights/element_layout.h"

namespace l2a {
namespace {

constexpr size_t kBlock = 32;  // values of a Q8_0 block

// To the nearest half, ties to even; infinite where none is near.
uint16_t half_from_float(float value) {
  const auto bits = std::bit_cast<uint32_t>(value);
  const auto sign = static_cast<uint16_t>(bits >> 16 & 0x8000u);
  const uint32_t magnitude = bits & 0x7fffffffu;
  constexpr uint32_t kSmallestNormal = 0x38800000u;  // 2^-14
  constexpr uint32_t kPastLargest = 0x477ff000u;     // 65520, which rounds to infinity
  if (magnitude >= kPastLargest) return sign | 0x7c00u;
  if (magnitude < kSmallestNormal) {
    // In steps of 2^-24: adding 2^-24 * 2^23 lets the processor round.
    const float steps = std::bit_cast<float>(magnitude) + 0.5f;
    return sign | static_cast<uint16_t>(std::bit_cast<uint32_t>(steps) - 0x3f000000u);
  }
  const uint32_t odd = magnitude >> 13 & 1;
  return sign | static_cast<uint16_t>((magnitude - (112u << 23) + 0xfffu + odd) >> 13);
}

uint16_t bfloat_from_float(float value) {
  const auto bits = std::bit_cast<uint32_t>(value);
  return static_cast<uint16_t>((bits + 0x7fffu + (bits >> 16 & 1)) >> 16);
}

template <class Stored, Stored (*convert)(float)>
std::vector<std::byte> each(std::span<const float> values) {
  std::vector<std::byte> out(values.size() * sizeof(Stored));
  for (size_t i = 0; i < values.size(); ++i) {
    const Stored stored = convert(values[i]);
    std::memcpy(out.data() + i * sizeof(Stored), &stored, sizeof(Stored));
  }
  return out;
}

// A half scale, then 32 signed bytes.
std::vector<std::byte> to_q8_0(std::span<const float> values) {
  check(values.size() % kBlock == 0, "Q8_0: blocks of 32 values");
  std::vector<std::byte> out(values.size() / kBlock * (sizeof(uint16_t) + kBlock));
  std::byte* at = out.data();
  for (size_t first = 0; first < values.size(); first += kBlock) {
    const auto block = values.subspan(first, kBlock);
    float largest = 0;
    for (const float value : block) largest = std::max(largest, std::fabs(value));
    const float scale = largest / 127, inverse = scale == 0 ? 0 : 1 / scale;
    const uint16_t stored = half_from_float(scale);
    std::memcpy(at, &stored, sizeof stored);
    at += sizeof stored;
    for (const float value : block) {
      *at++ = static_cast<std::byte>(static_cast<int8_t>(std::round(value * inverse)));
    }
  }
  return out;
}

}  // namespace

uint64_t planned_bytes(const PlannedTensor& tensor) {
  const ElementLayout& layout = layout_of(tensor.type);
  uint64_t values = 1;
  for (const int64_t size : tensor.shape) values *= static_cast<uint64_t>(size);
  check(values % layout.block_values == 0, "planned tensor: no whole blocks");
  return values / layout.block_values * layout.block_bytes;
}

std::vector<std::byte> quantize(ElementType type, std::span<const float> values) {
  switch (type) {
    case ElementType::kF32: {
      const auto bytes = std::as_bytes(values);
      return {bytes.begin(), bytes.end()};
    }
    case ElementType::kF16:
      for (const float value : values) {
        if (!(std::fabs(value) < 65520)) fail_input("a value beyond what F16 can hold");
      }
      return each<uint16_t, half_from_float>(values);
    case ElementType::kBf16:
      return each<uint16_t, bfloat_from_float>(values);
    case ElementType::kQ8_0:
      return to_q8_0(values);
    default:
      check(false, "quantize: a type that we don't write");
  }
  return {};
}

}  // namespace l2a
