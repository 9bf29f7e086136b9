// Tensors that are made one by one while their file is written: a model's need not all be in
// memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "weights/stored_tensor.h"

namespace l2a {

struct PlannedTensor {
  std::string name;
  ElementType type = ElementType::kF32;  // F32, F16, BF16 or Q8_0
  std::vector<int64_t> shape;            // row-major, outermost first
};

// The bytes of the tensor with that place in the plan, in its element type. May throw Failure:
// then no file appears.
using TensorBytes = std::function<std::vector<std::byte>(size_t index)>;

// How many bytes the tensor takes.
uint64_t planned_bytes(const PlannedTensor& tensor);

// The values in an element type, F32, F16, BF16 or Q8_0: the bytes that the `gguf` Python package
// gives. Q8_0 takes rows of a multiple of 32 values. Throws Failure (kInvalidInput) for a value
// that is beyond what F16 can hold.
std::vector<std::byte> quantize(ElementType type, std::span<const float> values);

}  // namespace l2a
