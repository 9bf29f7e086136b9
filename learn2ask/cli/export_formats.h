// A trained policy in the formats that others read.
#pragma once

#include <filesystem>
#include <string>

#include "model/config.h"
#include "model/lora.h"
#include "weights/checkpoint.h"

namespace l2a {

// What is exported: the model, and what was trained merged into it if there is any.
struct ExportSource {
  const Checkpoint& files;
  const TransformerConfig& config;
  const TrainedWeights* trained;  // may be null
  bool may_be_unchanged = false;  // else it is an error that `trained` makes no difference
};

// Throws Failure (kUnsupported) where a folder cannot say what the model is.
void check_folder_can_say(const TransformerConfig& config);

// Each writes one export under `path`, which is not there yet. Throws Failure: kUnsupported for
// what the format cannot say; kInvalidInput for `trained` that makes no difference in `type`.

// A folder with config.json, model.safetensors and the tokenizer, for transformers. `type` is F32,
// F16 or BF16.
void export_folder(const ExportSource& source, ElementType type, const std::filesystem::path& path);
// A GGUF file with all of it, for llama.cpp. `type`, F32, F16, BF16 or Q8_0, is that of the
// matrices: norms and biases stay F32, and so does F16 where rows are no whole Q8_0 blocks.
void export_gguf(const ExportSource& source, ElementType type, const std::filesystem::path& path);
// A GGUF file of the adapter alone, F32, for llama.cpp's --lora.
void export_gguf_adapter(const Checkpoint& files, const TransformerConfig& config,
                         const LoraAdapter& adapter, const std::filesystem::path& path);

}  // namespace l2a
