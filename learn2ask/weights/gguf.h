// GGUF files (format specification: ggml docs/gguf.md, versions 2 and 3, little-endian):
// metadata and tensors, memory-mapped, every size checked before it is used.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/error.h"
#include "weights/stored_tensor.h"

namespace l2a {

using GgufValue = std::variant<uint64_t, int64_t, double, bool, std::string, std::vector<uint64_t>,
                               std::vector<int64_t>, std::vector<double>, std::vector<bool>,
                               std::vector<std::string>>;

class GgufFile {
 public:
  // Throws Failure: kNotFound, kIo, or kInvalidInput "model: FILE: why" for a file that is cut,
  // lies about a size or offset, or holds overlapping tensors; kUnsupported for a tensor type
  // that we don't read. Nothing is allocated by a size that was not checked against the file's.
  static GgufFile open(const std::filesystem::path& path);

  const std::map<std::string, GgufValue>& metadata() const;
  const std::vector<StoredTensor>& tensors() const;
  const StoredTensor* find(const std::string& name) const;  // nullptr when absent

  // A metadata value of the asked type. Throws Failure naming the key when absent or of
  // another type. get_int takes either signedness.
  const std::string& get_string(const std::string& key) const;
  int64_t get_int(const std::string& key) const;
  double get_float(const std::string& key) const;
  const std::vector<std::string>& get_strings(const std::string& key) const;
  std::vector<int64_t> get_ints(const std::string& key) const;
  const std::vector<double>& get_floats(const std::string& key) const;
  std::optional<int64_t> find_int(const std::string& key) const;
  std::optional<bool> find_bool(const std::string& key) const;
  std::optional<std::string> find_string(const std::string& key) const;

 private:
  struct Impl;
  std::shared_ptr<const Impl> impl_;
};

}  // namespace l2a
