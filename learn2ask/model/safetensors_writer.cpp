#include "model/safetensors_writer.h"

#include <cstddef>
#include <span>

#include <torch/types.h>

#include "base/error.h"
#include "weights/safetensors.h"

namespace l2a {

void SafetensorsWriter::add(std::string name, const at::Tensor& value) {
  check(value.scalar_type() == at::kFloat, "SafetensorsWriter: float32 only");
  tensors_.emplace_back(std::move(name), value.detach().to(at::kCPU).contiguous());
}

void SafetensorsWriter::write(const std::filesystem::path& path,
                              const std::map<std::string, std::string>& metadata) const {
  std::vector<StoredTensor> stored;
  for (const auto& [name, value] : tensors_) {
    stored.push_back(
        {.name = name,
         .type = ElementType::kF32,
         .shape = value.sizes().vec(),
         .data = {static_cast<const std::byte*>(value.const_data_ptr()), value.nbytes()}});
  }
  write_safetensors(path, stored, metadata);
}

}  // namespace l2a
