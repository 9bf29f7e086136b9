// Blocks to floats (layouts: ggml-common.h, arithmetic: the gguf Python package's quants.py). The
// build keeps multiplication and addition apart here (-ffp-contract=off), so that the values are
// the same bits on every machine.
#include "weights/ggml_blocks.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <functional>
#include <numeric>

namespace l2a {
namespace {

constexpr GgmlLayout kLayouts[] = {
    {GgmlType::kF32, "F32", 1, 4},     {GgmlType::kF16, "F16", 1, 2},
    {GgmlType::kBf16, "BF16", 1, 2},   {GgmlType::kQ4_0, "Q4_0", 32, 18},
    {GgmlType::kQ4_1, "Q4_1", 32, 20}, {GgmlType::kQ8_0, "Q8_0", 32, 34},
};

constexpr size_t kBlock = 32;

template <class T>
T load(const std::byte* from) {
  T value;
  std::memcpy(&value, from, sizeof(T));
  return value;
}

// Branch-free, so that loops over it become vector code.
float half_to_float(uint16_t half) {
  constexpr uint32_t kRebias = (127 - 15) << 23;
  constexpr float kSmallestNormal = 0x1p-14f;
  const uint32_t sign = uint32_t{half & 0x8000u} << 16;
  const uint32_t magnitude = uint32_t{half & 0x7fffu} << 13;
  const uint32_t exponent = magnitude & (0x7c00u << 13);
  const uint32_t normal = magnitude + kRebias;
  // A subnormal half has no leading one: give it one, and take the one away as a number.
  const uint32_t subnormal = std::bit_cast<uint32_t>(
      std::bit_cast<float>(magnitude + kRebias + (1u << 23)) - kSmallestNormal);
  // Infinity keeps its zero mantissa; a NaN becomes quiet, as in the processor's own conversion.
  const uint32_t quiet = magnitude > exponent ? 1u << 22 : 0u;
  const uint32_t special = (magnitude + 2 * kRebias) | quiet;
  const uint32_t bits = exponent == 0 ? subnormal : exponent == (0x7c00u << 13) ? special : normal;
  return std::bit_cast<float>(sign | bits);
}

void from_f16(const std::byte* in, size_t count, float* out) {
  for (size_t i = 0; i < count; ++i) out[i] = half_to_float(load<uint16_t>(in + 2 * i));
}

void from_bf16(const std::byte* in, size_t count, float* out) {
  for (size_t i = 0; i < count; ++i) {
    out[i] = std::bit_cast<float>(uint32_t{load<uint16_t>(in + 2 * i)} << 16);
  }
}

// Half scale, then 16 bytes: low nibbles are values 0 to 15, high ones 16 to 31, both less 8.
void from_q4_0(const std::byte* in, float* out) {
  const float scale = half_to_float(load<uint16_t>(in));
  uint8_t packed[kBlock / 2];
  std::memcpy(packed, in + 2, sizeof packed);
  for (size_t i = 0; i < kBlock / 2; ++i) {
    out[i] = scale * static_cast<float>((packed[i] & 15) - 8);
    out[i + kBlock / 2] = scale * static_cast<float>((packed[i] >> 4) - 8);
  }
}

// Half scale, half minimum, then nibbles as above.
void from_q4_1(const std::byte* in, float* out) {
  const float scale = half_to_float(load<uint16_t>(in));
  const float minimum = half_to_float(load<uint16_t>(in + 2));
  uint8_t packed[kBlock / 2];
  std::memcpy(packed, in + 4, sizeof packed);
  for (size_t i = 0; i < kBlock / 2; ++i) {
    out[i] = scale * static_cast<float>(packed[i] & 15) + minimum;
    out[i + kBlock / 2] = scale * static_cast<float>(packed[i] >> 4) + minimum;
  }
}

// Half scale, then 32 signed bytes.
void from_q8_0(const std::byte* in, float* out) {
  const float scale = half_to_float(load<uint16_t>(in));
  int8_t values[kBlock];
  std::memcpy(values, in + 2, sizeof values);
  for (size_t i = 0; i < kBlock; ++i) out[i] = static_cast<float>(values[i]) * scale;
}

template <auto from_block, size_t block_bytes>
void from_blocks(const std::byte* in, size_t count, float* out) {
  for (size_t b = 0; b < count / kBlock; ++b) from_block(in + b * block_bytes, out + b * kBlock);
}

}  // namespace

const GgmlLayout* find_layout(uint32_t type) {
  for (const auto& layout : kLayouts) {
    if (static_cast<uint32_t>(layout.type) == type) return &layout;
  }
  return nullptr;
}

const char* ggml_type_name(GgmlType type) { return find_layout(static_cast<uint32_t>(type))->name; }

void dequantize(const GgufTensor& tensor, std::span<float> out) {
  const auto elements = std::accumulate(tensor.shape.begin(), tensor.shape.end(), int64_t{1},
                                        std::multiplies<int64_t>());
  check(out.size() == static_cast<size_t>(elements), "dequantize: output of another size");
  const std::byte* in = tensor.data.data();
  switch (tensor.type) {
    case GgmlType::kF32:
      std::memcpy(out.data(), in, out.size_bytes());
      return;
    case GgmlType::kF16:
      return from_f16(in, out.size(), out.data());
    case GgmlType::kBf16:
      return from_bf16(in, out.size(), out.data());
    case GgmlType::kQ4_0:
      return from_blocks<from_q4_0, 18>(in, out.size(), out.data());
    case GgmlType::kQ4_1:
      return from_blocks<from_q4_1, 20>(in, out.size(), out.data());
    case GgmlType::kQ8_0:
      return from_blocks<from_q8_0, 34>(in, out.size(), out.data());
  }
}

}  // namespace l2a
