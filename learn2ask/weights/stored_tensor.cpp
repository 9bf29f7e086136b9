// Blocks to floats (layouts: ggml-common.h, arithmetic: the gguf Python package's quants.py). The
// build keeps multiplication and addition apart here (-ffp-contract=off), so that the values are
// the same bits on every machine.
#include "weights/stored_tensor.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <functional>
#include <numeric>

#include "base/error.h"
#include "weights/element_layout.h"

namespace l2a {
namespace {

constexpr size_t kBlock = 32;        // values of a plain block
constexpr size_t kSuperBlock = 256;  // values of a K block

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

void from_f32(const std::byte* in, size_t count, float* out) {
  std::memcpy(out, in, count * sizeof(float));
}

void from_i64(const std::byte* in, size_t count, float* out) {
  for (size_t i = 0; i < count; ++i) out[i] = static_cast<float>(load<int64_t>(in + 8 * i));
}

// The 4-bit halves of `pairs` bytes: first all low ones, then all high ones.
void unpack_nibbles(const std::byte* in, size_t pairs, int* out) {
  for (size_t i = 0; i < pairs; ++i) {
    const auto byte = static_cast<int>(in[i]);
    out[i] = byte & 15;
    out[i + pairs] = byte >> 4;
  }
}

// The 2-bit quarters of 32 bytes: all lowest ones first, then the next.
void unpack_quarters(const std::byte* in, int* out) {
  for (int shift = 0; shift < 8; shift += 2) {
    for (size_t i = 0; i < 32; ++i) *out++ = static_cast<int>(in[i]) >> shift & 3;
  }
}

// The bits of 32 bytes: all lowest ones first, then the next.
void unpack_bits(const std::byte* in, int* out) {
  for (int shift = 0; shift < 8; ++shift) {
    for (size_t i = 0; i < 32; ++i) *out++ = static_cast<int>(in[i]) >> shift & 1;
  }
}

// Half scale, half minimum, the fifth bits (value i's is bit i of four bytes), 16 bytes of nibbles.
// Without a minimum the values are centred: less half their range.
template <bool has_minimum, bool has_fifth>
void from_nibbles(const std::byte* in, float* out) {
  const float scale = half_to_float(load<uint16_t>(in));
  const std::byte* const fifths = in + (has_minimum ? 4 : 2);
  int q[kBlock];
  unpack_nibbles(fifths + (has_fifth ? 4 : 0), kBlock / 2, q);
  if constexpr (has_fifth) {
    const auto bits = load<uint32_t>(fifths);
    for (size_t i = 0; i < kBlock; ++i) q[i] += static_cast<int>(bits >> i & 1) << 4;
  }
  if constexpr (has_minimum) {
    const float minimum = half_to_float(load<uint16_t>(in + 2));
    for (size_t i = 0; i < kBlock; ++i) out[i] = scale * static_cast<float>(q[i]) + minimum;
  } else {
    constexpr int kCentre = has_fifth ? 16 : 8;
    for (size_t i = 0; i < kBlock; ++i) out[i] = scale * static_cast<float>(q[i] - kCentre);
  }
}

// Half scale, then 32 signed bytes.
void from_q8_0(const std::byte* in, float* out) {
  const float scale = half_to_float(load<uint16_t>(in));
  int8_t values[kBlock];
  std::memcpy(values, in + 2, sizeof values);
  for (size_t i = 0; i < kBlock; ++i) out[i] = static_cast<float>(values[i]) * scale;
}

// 16 bytes of 4-bit scales and minima, 64 bytes of quarters, half scale of the scales, half scale
// of the minima.
void from_q2_k(const std::byte* in, float* out) {
  const float scale = half_to_float(load<uint16_t>(in + 80));
  const float minimum = half_to_float(load<uint16_t>(in + 82));
  int q[kSuperBlock];
  for (size_t half = 0; half < 2; ++half) {
    unpack_quarters(in + 16 + 32 * half, q + kSuperBlock / 2 * half);
  }
  for (size_t i = 0; i < kSuperBlock; ++i) {
    const auto pair = static_cast<int>(in[i / 16]);
    out[i] = (scale * static_cast<float>(pair & 15)) * static_cast<float>(q[i]) -
             minimum * static_cast<float>(pair >> 4);
  }
}

// 32 bytes of third bits, 64 of quarters, 12 of 6-bit scales less 32, half scale of the scales. A
// third bit that is not set takes 4 away.
void from_q3_k(const std::byte* in, float* out) {
  const std::byte* const packed = in + 96;
  int scales[16], high[16], third[kSuperBlock], q[kSuperBlock];
  unpack_nibbles(packed, 8, scales);
  for (int i = 0; i < 16; ++i) high[i] = static_cast<int>(packed[8 + i % 4]) >> (i / 4 * 2) & 3;
  unpack_bits(in, third);
  for (size_t half = 0; half < 2; ++half) {
    unpack_quarters(in + 32 + 32 * half, q + kSuperBlock / 2 * half);
  }
  const float scale = half_to_float(load<uint16_t>(in + 108));
  for (size_t i = 0; i < kSuperBlock; ++i) {
    const int sixteen = (scales[i / 16] | high[i / 16] << 4) - 32;
    const int value = q[i] - (third[i] ? 0 : 4);
    out[i] = (scale * static_cast<float>(sixteen)) * static_cast<float>(value);
  }
}

// The eight scales and minima of Q4_K and Q5_K, 6 bits each in 12 bytes: the first four of each
// lie in the low bits of a byte, the others in a nibble and what those bytes have left.
struct ScaleAndMinimum {
  int scale, minimum;
};
ScaleAndMinimum packed_scale(const std::byte* in, size_t i) {
  const auto byte = [&](size_t at) { return static_cast<int>(in[at]); };
  if (i < 4) return {byte(i) & 63, byte(4 + i) & 63};
  return {(byte(4 + i) & 15) | (byte(i - 4) >> 2 & 48), byte(4 + i) >> 4 | (byte(i) >> 2 & 48)};
}

// What Q4_K and Q5_K share: half scale of the scales, half scale of the minima, the scales and
// minima, a pair for 32 values.
void scale_by_32(const std::byte* in, const int* q, float* out) {
  const float scale = half_to_float(load<uint16_t>(in));
  const float minimum = half_to_float(load<uint16_t>(in + 2));
  for (size_t i = 0; i < kSuperBlock; ++i) {
    const ScaleAndMinimum pair = packed_scale(in + 4, i / 32);
    out[i] = (scale * static_cast<float>(pair.scale)) * static_cast<float>(q[i]) -
             minimum * static_cast<float>(pair.minimum);
  }
}

// The scales, then four times 32 bytes of nibbles.
void from_q4_k(const std::byte* in, float* out) {
  int q[kSuperBlock];
  for (size_t part = 0; part < 4; ++part) unpack_nibbles(in + 16 + 32 * part, 32, q + 64 * part);
  scale_by_32(in, q, out);
}

// The scales, 32 bytes of fifth bits, then nibbles.
void from_q5_k(const std::byte* in, float* out) {
  int q[kSuperBlock], fifth[kSuperBlock];
  for (size_t part = 0; part < 4; ++part) unpack_nibbles(in + 48 + 32 * part, 32, q + 64 * part);
  unpack_bits(in + 16, fifth);
  for (size_t i = 0; i < kSuperBlock; ++i) q[i] |= fifth[i] << 4;
  scale_by_32(in, q, out);
}

// 128 bytes of nibbles, 64 of the two bits above, less 32; 16 signed scales, half scale of those.
void from_q6_k(const std::byte* in, float* out) {
  int q[kSuperBlock], high[kSuperBlock];
  for (size_t half = 0; half < 2; ++half) {
    unpack_nibbles(in + 64 * half, 64, q + kSuperBlock / 2 * half);
    unpack_quarters(in + 128 + 32 * half, high + kSuperBlock / 2 * half);
  }
  const float scale = half_to_float(load<uint16_t>(in + 208));
  for (size_t i = 0; i < kSuperBlock; ++i) {
    const auto sixteen = static_cast<float>(static_cast<int8_t>(in[192 + i / 16]));
    out[i] = (scale * sixteen) * static_cast<float>((q[i] | high[i] << 4) - 32);
  }
}

template <auto from_block, size_t block_values, size_t block_bytes>
void from_blocks(const std::byte* in, size_t count, float* out) {
  for (size_t b = 0; b < count / block_values; ++b) {
    from_block(in + b * block_bytes, out + b * block_values);
  }
}

template <auto from_block, size_t bytes>
constexpr ElementLayout plain(ElementType type, const char* name) {
  return {type, name, kBlock, bytes, from_blocks<from_block, kBlock, bytes>};
}
template <auto from_block, size_t bytes>
constexpr ElementLayout super(ElementType type, const char* name) {
  return {type, name, kSuperBlock, bytes, from_blocks<from_block, kSuperBlock, bytes>};
}

constexpr ElementLayout kLayouts[] = {
    {ElementType::kF32, "F32", 1, 4, from_f32},
    {ElementType::kF16, "F16", 1, 2, from_f16},
    {ElementType::kBf16, "BF16", 1, 2, from_bf16},
    {ElementType::kI64, "I64", 1, 8, from_i64},
    plain<from_nibbles<false, false>, 18>(ElementType::kQ4_0, "Q4_0"),
    plain<from_nibbles<true, false>, 20>(ElementType::kQ4_1, "Q4_1"),
    plain<from_nibbles<false, true>, 22>(ElementType::kQ5_0, "Q5_0"),
    plain<from_nibbles<true, true>, 24>(ElementType::kQ5_1, "Q5_1"),
    plain<from_q8_0, 34>(ElementType::kQ8_0, "Q8_0"),
    super<from_q2_k, 84>(ElementType::kQ2_K, "Q2_K"),
    super<from_q3_k, 110>(ElementType::kQ3_K, "Q3_K"),
    super<from_q4_k, 144>(ElementType::kQ4_K, "Q4_K"),
    super<from_q5_k, 176>(ElementType::kQ5_K, "Q5_K"),
    super<from_q6_k, 210>(ElementType::kQ6_K, "Q6_K"),
};

}  // namespace

const ElementLayout* find_layout(uint32_t type) {
  for (const auto& layout : kLayouts) {
    if (static_cast<uint32_t>(layout.type) == type) return &layout;
  }
  return nullptr;
}

const ElementLayout& layout_of(ElementType type) {
  return *find_layout(static_cast<uint32_t>(type));
}

std::string layout_names() {
  std::string names;
  for (const auto& layout : kLayouts) {
    if (!names.empty()) names += &layout == std::end(kLayouts) - 1 ? " and " : ", ";
    names += layout.name;
  }
  return names;
}

const char* element_name(ElementType type) { return layout_of(type).name; }

std::optional<ElementType> element_type_from_name(std::string_view name) {
  for (const auto& layout : kLayouts) {
    const auto same = [](char a, char b) {
      return a == (b >= 'a' && b <= 'z' ? b - 'a' + 'A' : b);
    };
    const std::string_view known = layout.name;
    if (std::equal(known.begin(), known.end(), name.begin(), name.end(), same)) return layout.type;
  }
  return std::nullopt;
}

double bits_per_value(ElementType type) {
  const ElementLayout& layout = layout_of(type);
  return 8.0 * layout.block_bytes / layout.block_values;
}

int64_t element_count(const StoredTensor& tensor) {
  return std::accumulate(tensor.shape.begin(), tensor.shape.end(), int64_t{1},
                         std::multiplies<int64_t>());
}

void dequantize(const StoredTensor& tensor, std::span<float> out) {
  check(out.size() == static_cast<size_t>(element_count(tensor)),
        "dequantize: output of another size");
  if (out.empty()) return;  // neither side has an address then
  layout_of(tensor.type).to_float(tensor.data.data(), out.size(), out.data());
}

}  // namespace l2a
