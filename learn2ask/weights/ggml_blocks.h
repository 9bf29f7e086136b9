// How GGUF tensors store their values: blocks of values that share a scale.
#pragma once

#include <cstdint>

#include "weights/gguf.h"

namespace l2a {

struct GgmlLayout {
  GgmlType type;
  const char* name;
  uint32_t block_values, block_bytes;
};

// The layout of the type that a file gives as a number; nullptr when we don't read it.
const GgmlLayout* find_layout(uint32_t type);

}  // namespace l2a
