// A tensor as it lies in a model file: named bytes of one of the element types of GGUF and
// safetensors.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace l2a {

// The numbers are those of GGUF files. Those with a Q are blocks of 32 values that share a scale,
// with a K of 256.
enum class ElementType : uint32_t {
  kF32 = 0,
  kF16 = 1,
  kQ4_0 = 2,
  kQ4_1 = 3,
  kQ5_0 = 6,
  kQ5_1 = 7,
  kQ8_0 = 8,
  kQ2_K = 10,
  kQ3_K = 11,
  kQ4_K = 12,
  kQ5_K = 13,
  kQ6_K = 14,
  kI64 = 27,
  kBf16 = 30,
};
const char* element_name(ElementType type);
// Of that name, whatever its case: "q4_k"; nullopt where none is.
std::optional<ElementType> element_type_from_name(std::string_view name);
double bits_per_value(ElementType type);  // scales of blocks included

struct StoredTensor {
  std::string name;
  ElementType type = ElementType::kF32;
  std::vector<int64_t> shape;       // row-major, outermost first
  std::span<const std::byte> data;  // into the mapping; lives as long as the file's object
};

int64_t element_count(const StoredTensor& tensor);

// The values as float, bit-identical to those of the `gguf` Python package. `out` has as many
// elements as the tensor.
void dequantize(const StoredTensor& tensor, std::span<float> out);

}  // namespace l2a
