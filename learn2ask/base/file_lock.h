// Holds a file for one process.
#pragma once

#include <filesystem>

#include "base/error.h"

namespace l2a {

// Holds `path`, which is made when it is not there, for this process as long as it lives; the
// system lets go of it when the process dies. Throws Failure (kIo) when another one holds it; holds
// nothing on a file system without locks.
class FileLock {
 public:
  explicit FileLock(const std::filesystem::path& path);
  ~FileLock();
  FileLock(const FileLock&) = delete;
  FileLock& operator=(const FileLock&) = delete;

 private:
  int fd_;
};

}  // namespace l2a
