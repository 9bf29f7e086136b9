// A trained policy in the formats that others read.
#pragma once

#include <filesystem>
#include <string>

#include "model/config.h"
#include "model/lora.h"
#include "weights/checkpoint.h"

namespace l2a {

// What is exported: the model, and the adapter merged into it if there is one.
struct ExportSource {
  const Checkpoint& files;
  const TransformerConfig& config;
  const LoraAdapter* adapter;  // may be null
};

// Each writes one export under `path`, which is not there yet. Throws Failure: kUnsupported for
// what the format cannot say; kInvalidInput when an adapter is given and makes no difference in
// `type`.

// A folder with config.json, model.safetensors and the tokenizer, for transformers. `type` is F32,
// F16 or BF16.
void export_folder(const ExportSource& source, ElementType type, const std::filesystem::path& path);
// A GGUF file with all of it, for llama.cpp. `type`, F32, F16, BF16 or Q8_0, is that of the
// matrices: norms and biases stay F32, and so does F16 where rows are no whole Q8_0 blocks.
void export_gguf(const ExportSource& source, ElementType type, const std::filesystem::path& path);
// A GGUF file of the adapter alone, F32, for llama.cpp's --lora. Needs an adapter.
void export_gguf_adapter(const ExportSource& source, const std::filesystem::path& path);

}  // namespace l2a
