// safetensors files (format: 8-byte little-endian header length, JSON header, data), read
// memory-mapped and written atomically.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/error.h"

namespace l2a {

enum class SafetensorsType { kF32, kF16, kBf16, kI64 };

struct SafetensorsTensor {
  std::string name;
  SafetensorsType type = SafetensorsType::kF32;
  std::vector<int64_t> shape;
  std::span<const std::byte> data;  // into the mapping
};

class SafetensorsFile {
 public:
  // Throws Failure: kNotFound, kIo, kInvalidInput "safetensors: FILE: why" (cut, header too
  // long, offsets overlapping, out of range or with holes, shape not matching the bytes).
  static SafetensorsFile open(const std::filesystem::path& path);
  const std::vector<SafetensorsTensor>& tensors() const;
  const SafetensorsTensor* find(const std::string& name) const;
  const std::map<std::string, std::string>& metadata() const;

 private:
  struct Impl;
  std::shared_ptr<const Impl> impl_;
};

// Writes the tensors in the order given. Throws Failure (kIo).
void write_safetensors(const std::filesystem::path& path,
                       std::span<const SafetensorsTensor> tensors,
                       const std::map<std::string, std::string>& metadata);

}  // namespace l2a
