// Writes GGUF files (format specification: ggml docs/gguf.md, version 3).
#pragma once

#include <filesystem>
#include <map>
#include <span>
#include <string>

#include "weights/gguf.h"
#include "weights/planned_tensor.h"

namespace l2a {

// Numbers of the metadata are written in 32 bits where they fit, which is what readers expect of
// sizes and constants. The file appears whole or not at all. Throws Failure (kIo), or what `bytes`
// throws.
void write_gguf(const std::filesystem::path& path, const std::map<std::string, GgufValue>& metadata,
                std::span<const PlannedTensor> tensors, const TensorBytes& bytes);

}  // namespace l2a
