// A whole file, read-only, in memory without being copied.
#pragma once

#include <cstddef>
#include <filesystem>
#include <span>

namespace l2a {

// Unmaps when destroyed. The file must not be cut by others meanwhile (reading past its new end
// kills the process: that is mmap's way).
class MappedFile {
 public:
  // `what` opens the messages: "model", "safetensors". Throws Failure: kNotFound, kIo.
  MappedFile(const char* what, const std::filesystem::path& path);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  std::span<const std::byte> bytes() const { return bytes_; }

 private:
  std::span<const std::byte> bytes_;
};

}  // namespace l2a
