// Holds a file or a folder for one process, as long as the lock lives; the system lets go of it
// when the process dies. On a file system without locks nothing is held.
#pragma once

#include <filesystem>
#include <string>

#include "base/error.h"

namespace l2a {

class PathLock {
 public:
  PathLock(const PathLock&) = delete;
  PathLock& operator=(const PathLock&) = delete;

 protected:
  // `flags` as open() takes them; `taken`: the error when another process holds it.
  PathLock(const std::filesystem::path& path, int flags, const std::string& taken);
  ~PathLock();

 private:
  int fd_;
};

// A file, which is made when it is not there. Throws Failure (kIo) when another process holds it.
class FileLock : public PathLock {
 public:
  explicit FileLock(const std::filesystem::path& path);
};

// A folder, which is there. Throws Failure (kIo) when another process holds it.
class DirectoryLock : public PathLock {
 public:
  explicit DirectoryLock(const std::filesystem::path& path);
};

}  // namespace l2a
