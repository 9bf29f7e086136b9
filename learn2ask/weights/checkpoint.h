// A decoder model on disk under Hugging Face's names, whichever format it is in.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/json.h"
#include "weights/gguf.h"

namespace l2a {

// Memory-mapped: tensors are read, and widened, when they are asked for. Thread-safe once opened.
class Checkpoint {
 public:
  // `path` is a GGUF file, or a folder with config.json and model.safetensors or the files that
  // model.safetensors.index.json names. Throws Failure: kNotFound, kIo, kInvalidInput "model:
  // FILE: why", kUnsupported for an architecture or element type that we don't read.
  static Checkpoint open(const std::filesystem::path& path);

  // What config.json says; of a GGUF file, its metadata under the same keys.
  const Json& config() const;
  // All tensors, by Hugging Face's names ("model.layers.0.mlp.up_proj.weight"), sorted.
  const std::vector<std::string>& names() const;
  bool has(const std::string& name) const;
  // The tensor as it lies in its file, whose values may be ordered otherwise than read() gives
  // them; its shape is the same. Throws Failure (kInvalidInput) when absent.
  const StoredTensor& stored(const std::string& name) const;
  // The values as Hugging Face orders and stores them, in float32. `out` has as many elements as
  // the tensor. Throws Failure (kInvalidInput) when the tensor is absent or a value not finite.
  void read(const std::string& name, std::span<float> out) const;
  // The same of the whole rows [first_row, ...) that `out` has room for; a vector is one row.
  void read_rows(const std::string& name, int64_t first_row, std::span<float> out) const;

  const std::filesystem::path& path() const;
  // What was opened: the GGUF file, or config.json and the files of tensors in order.
  const std::vector<std::filesystem::path>& files() const;
  const GgufFile* gguf() const;  // null for a folder

 private:
  struct Impl;
  std::shared_ptr<const Impl> impl_;
};

}  // namespace l2a
