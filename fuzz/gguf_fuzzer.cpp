// Any bytes as a GGUF model: its settings and tensors are read, or it is refused.
#include <cstdint>
#include <vector>

#include "base/error.h"
#include "memory_file.h"
#include "weights/checkpoint.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  try {
    const auto model = l2a::Checkpoint::open(l2a::fuzz::memory_file(data, size));
    for (const auto& name : model.names()) {
      std::vector<float> values(static_cast<size_t>(l2a::element_count(model.stored(name))));
      model.read(name, values);
    }
  } catch (const l2a::Failure&) {
  }
  return 0;
}
