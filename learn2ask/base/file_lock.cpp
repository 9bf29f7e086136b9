#include "base/file_lock.h"

#include <cerrno>
#include <system_error>

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

namespace l2a {

PathLock::PathLock(const std::filesystem::path& path, int flags, const std::string& taken)
    : fd_(::open(path.c_str(), flags | O_CLOEXEC, 0666)) {
  if (fd_ < 0) {
    fail(ErrorCode::kIo, "open: " + path.string() + ": " + std::generic_category().message(errno));
  }
  if (::flock(fd_, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK) return;
  ::close(fd_);
  fail(ErrorCode::kIo, taken);
}

PathLock::~PathLock() { ::close(fd_); }

FileLock::FileLock(const std::filesystem::path& path)
    : PathLock(path, O_RDWR | O_CREAT,
               "open: " + path.string() +
                   ": another process is writing to it: wait for it, or name another file") {}

DirectoryLock::DirectoryLock(const std::filesystem::path& path)
    : PathLock(path, O_RDONLY | O_DIRECTORY,
               "run directory: " + path.string() +
                   ": another process is at work there: wait for it, or give another directory") {}

}  // namespace l2a
