#include "weights/mapped_file.h"

#include <cerrno>
#include <cstring>
#include <string>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"

namespace l2a {
namespace {

[[noreturn]] void fail_errno(const std::string& where, int error) {
  fail(error == ENOENT ? ErrorCode::kNotFound : ErrorCode::kIo, where + std::strerror(error));
}

}  // namespace

MappedFile::MappedFile(const char* what, const std::filesystem::path& path) {
  const std::string where = std::string(what) + ": " + path.string() + ": ";
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) fail_errno(where, errno);
  struct stat status;
  if (::fstat(fd, &status) != 0 || !S_ISREG(status.st_mode)) {
    ::close(fd);
    fail(ErrorCode::kIo, where + "not a regular file");
  }
  if (status.st_size > 0) {  // mmap refuses an empty range
    const auto size = static_cast<size_t>(status.st_size);
    void* address = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, fd, 0);
    const int error = errno;
    if (address == MAP_FAILED) {
      ::close(fd);
      fail_errno(where, error);
    }
    bytes_ = {static_cast<const std::byte*>(address), size};
  }
  ::close(fd);  // the mapping stays
}

MappedFile::~MappedFile() {
  if (!bytes_.empty()) ::munmap(const_cast<std::byte*>(bytes_.data()), bytes_.size());
}

}  // namespace l2a
