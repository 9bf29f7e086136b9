#include "base/file_lock.h"

#include <cerrno>
#include <string>
#include <system_error>

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

namespace l2a {

FileLock::FileLock(const std::filesystem::path& path)
    : fd_(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666)) {
  if (fd_ < 0) {
    fail(ErrorCode::kIo, "open: " + path.string() + ": " + std::generic_category().message(errno));
  }
  if (::flock(fd_, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK) return;
  ::close(fd_);
  fail(ErrorCode::kIo, "open: " + path.string() +
                           ": another process is writing to it: wait for it, or give another "
                           "--out");
}

FileLock::~FileLock() { ::close(fd_); }

}  // namespace l2a
