// Holds a file or a folder for one process, as long as the lock lives; the system lets go of it
// when the process dies. On a file system without locks nothing is held.
#pragma once

#include <filesystem>

#include "base/error.h"

namespace l2a {

// A file, which is made when it is not there. Throws Failure (kIo) when another process holds it.
class FileLock {
 public:
  explicit FileLock(const std::filesystem::path& path);
  ~FileLock();
  FileLock(const FileLock&) = delete;
  FileLock& operator=(const FileLock&) = delete;

 private:
  int fd_;
};

// A folder, which is there. Throws Failure (kIo) when another process holds it.
class DirectoryLock {
 public:
  explicit DirectoryLock(const std::filesystem::path& path);
  ~DirectoryLock();
  DirectoryLock(const DirectoryLock&) = delete;
  DirectoryLock& operator=(const DirectoryLock&) = delete;

 private:
  int fd_;
};

}  // namespace l2a
