// Any bytes as a safetensors file: its tensors are read, or it is refused.
#include <cstdint>
#include <vector>

#include "base/error.h"
#include "memory_file.h"
#include "weights/safetensors.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  try {
    const auto file = l2a::SafetensorsFile::open(l2a::fuzz::memory_file(data, size));
    for (const auto& tensor : file.tensors()) {
      std::vector<float> values(static_cast<size_t>(l2a::element_count(tensor)));
      l2a::dequantize(tensor, values);
    }
  } catch (const l2a::Failure&) {
  }
  return 0;
}
