// Tensors of this process to a safetensors file.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include <ATen/core/Tensor.h>

namespace l2a {

class SafetensorsWriter {
 public:
  void add(std::string name, const at::Tensor& value);  // float32, on any device

  // By atomic rename. Throws Failure (kIo).
  void write(const std::filesystem::path& path,
             const std::map<std::string, std::string>& metadata = {}) const;

 private:
  std::vector<std::pair<std::string, at::Tensor>> tensors_;
};

}  // namespace l2a
