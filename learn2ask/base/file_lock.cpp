#include "base/file_lock.h"

#include <cerrno>
#include <string>
#include <system_error>

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

namespace l2a {
namespace {

// The descriptor of what is held. `taken`: the error when another process has it.
int hold(const std::filesystem::path& path, int flags, const std::string& taken) {
  const int fd = ::open(path.c_str(), flags | O_CLOEXEC, 0666);
  if (fd < 0) {
    fail(ErrorCode::kIo, "open: " + path.string() + ": " + std::generic_category().message(errno));
  }
  if (::flock(fd, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK) return fd;
  ::close(fd);
  fail(ErrorCode::kIo, taken);
}

}  // namespace

FileLock::FileLock(const std::filesystem::path& path)
    : fd_(hold(path, O_RDWR | O_CREAT,
               "open: " + path.string() +
                   ": another process is writing to it: wait for it, or give another --out")) {}

FileLock::~FileLock() { ::close(fd_); }

DirectoryLock::DirectoryLock(const std::filesystem::path& path)
    : fd_(hold(path, O_RDONLY | O_DIRECTORY,
               "run directory: " + path.string() +
                   ": another process is at work there: wait for it, or give another directory")) {}

DirectoryLock::~DirectoryLock() { ::close(fd_); }

}  // namespace l2a
