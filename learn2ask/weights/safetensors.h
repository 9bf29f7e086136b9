// safetensors files (format: 8-byte little-endian header length, JSON header, data), read
// memory-mapped and written atomically.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/error.h"
#include "weights/planned_tensor.h"
#include "weights/stored_tensor.h"

namespace l2a {

class SafetensorsFile {
 public:
  // Throws Failure: kNotFound, kIo, kInvalidInput "safetensors: FILE: why" (cut, header too
  // long, offsets overlapping, out of range or with holes, shape not matching the bytes).
  static SafetensorsFile open(const std::filesystem::path& path);
  const std::vector<StoredTensor>& tensors() const;
  const StoredTensor* find(const std::string& name) const;
  const std::map<std::string, std::string>& metadata() const;

 private:
  struct Impl;
  std::shared_ptr<const Impl> impl_;
};

// Writes the tensors in the order given. Throws Failure (kIo).
void write_safetensors(const std::filesystem::path& path, std::span<const StoredTensor> tensors,
                       const std::map<std::string, std::string>& metadata);

// The same for tensors that are made one by one. Throws Failure (kIo), or what `bytes` throws.
void write_safetensors(const std::filesystem::path& path, std::span<const PlannedTensor> tensors,
                       const TensorBytes& bytes,
                       const std::map<std::string, std::string>& metadata);

}  // namespace l2a
