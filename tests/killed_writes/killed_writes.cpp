// Preloaded into the program: ends it as kill -9 does, just before it changes the file system for
// the $KILL_AT_CHANGE-th time. Without that it says at its end, in the file $CHANGES_FILE, how
// often it did. A change is a call that writes to a regular file, cuts, syncs, renames or removes
// one, or makes a directory.

#include <atomic>
#include <csignal>
#include <cstdio>
#include <cstdlib>

#include <dlfcn.h>
#include <sys/stat.h>
#include <unistd.h>

namespace {

std::atomic<long> changes{0};

void count_change() {
  static const char* const at = std::getenv("KILL_AT_CHANGE");
  static const long last = at ? std::atol(at) : 0;
  if (++changes == last) ::kill(::getpid(), SIGKILL);
}

template <class Function>
Function* real(Function*, const char* name) {
  return reinterpret_cast<Function*>(::dlsym(RTLD_NEXT, name));
}

bool is_regular(int fd) {
  struct stat of{};
  return ::fstat(fd, &of) == 0 && S_ISREG(of.st_mode);
}

[[gnu::destructor]] void say_changes() {
  const char* const path = std::getenv("CHANGES_FILE");
  if (path == nullptr) return;
  if (std::FILE* const file = std::fopen(path, "w")) {
    std::fprintf(file, "%ld\n", changes.load());
    std::fclose(file);
  }
}

}  // namespace

// What is exported takes the C library's place, so it has its names and types.
extern "C" {

ssize_t write(int fd, const void* bytes, size_t count) {
  static const auto next = real(&::write, "write");
  if (is_regular(fd)) count_change();
  return next(fd, bytes, count);
}

int fsync(int fd) {
  static const auto next = real(&::fsync, "fsync");
  count_change();
  return next(fd);
}

int ftruncate(int fd, off_t size) noexcept {
  static const auto next = real(&::ftruncate, "ftruncate");
  count_change();
  return next(fd, size);
}

int rename(const char* from, const char* to) noexcept {
  static const auto next = real(&::rename, "rename");
  count_change();
  return next(from, to);
}

int unlink(const char* path) noexcept {
  static const auto next = real(&::unlink, "unlink");
  count_change();
  return next(path);
}

int unlinkat(int folder, const char* path, int flags) noexcept {
  static const auto next = real(&::unlinkat, "unlinkat");
  count_change();
  return next(folder, path, flags);
}

int mkdir(const char* path, mode_t mode) noexcept {
  static const auto next = real(&::mkdir, "mkdir");
  count_change();
  return next(path, mode);
}

}  // extern "C"
