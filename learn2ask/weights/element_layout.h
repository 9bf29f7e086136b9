// How each element type stores its values. Private to this module.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "weights/stored_tensor.h"

namespace l2a {

struct ElementLayout {
  ElementType type;
  const char* name;
  uint32_t block_values, block_bytes;
  // `count` values, a multiple of block_values.
  void (*to_float)(const std::byte* blocks, size_t count, float* out);
};

// The layout of the type that a GGUF file gives as a number; nullptr when we don't read it.
const ElementLayout* find_layout(uint32_t type);
const ElementLayout& layout_of(ElementType type);
// The names of all types, for messages.
std::string layout_names();

}  // namespace l2a
