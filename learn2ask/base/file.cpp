#include "base/file.h"

#include <cerrno>
#include <cstring>
#include <memory>
#include <system_error>

#include <fcntl.h>
#include <openssl/evp.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

namespace l2a {
namespace {

constexpr size_t kBufferBytes = 1 << 16;

// "WHAT: PATH: why", from errno.
[[noreturn]] void fail_errno(const char* what, const std::filesystem::path& path,
                             ErrorCode code = ErrorCode::kIo) {
  const bool full = errno == ENOSPC || errno == EDQUOT;
  const std::string why = full ? "disk full" : std::generic_category().message(errno);
  fail(code, std::string(what) + ": " + path.string() + ": " + why);
}

[[noreturn]] void fail_open(const std::filesystem::path& path) {
  fail_errno("read", path, errno == ENOENT ? ErrorCode::kNotFound : ErrorCode::kIo);
}

// An open file descriptor, closed at the end.
class Descriptor {
 public:
  Descriptor(const std::filesystem::path& path, int flags, mode_t mode = 0)
      : fd_(::open(path.c_str(), flags | O_CLOEXEC, mode)) {}
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return fd_; }

 private:
  int fd_;
};

void write_all(int fd, std::string_view bytes, const std::filesystem::path& path) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(fd, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) fail_errno("write", path);
    bytes.remove_prefix(static_cast<size_t>(written));
  }
}

// Up to `size` bytes; fewer only at the end of the file.
size_t read_some(int fd, char* to, size_t size, const std::filesystem::path& path) {
  size_t total = 0;
  while (total < size) {
    const ssize_t got = ::read(fd, to + total, size - total);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) fail_errno("read", path);
    if (got == 0) break;
    total += static_cast<size_t>(got);
  }
  return total;
}

// A rename is durable only once the directory is synced. Some file systems refuse that for
// directories (EINVAL); they order renames themselves.
void sync_directory_of(const std::filesystem::path& path) {
  const std::filesystem::path folder = path.has_parent_path() ? path.parent_path() : ".";
  const Descriptor directory(folder, O_RDONLY | O_DIRECTORY);
  if (directory.get() < 0) fail_errno("open", folder);
  if (::fsync(directory.get()) != 0 && errno != EINVAL) fail_errno("sync", folder);
}

class Sha256 {
 public:
  Sha256() : context_(EVP_MD_CTX_new()) {
    check(context_ && EVP_DigestInit_ex(context_.get(), EVP_sha256(), nullptr) == 1, "SHA-256");
  }
  void add(std::string_view bytes) {
    check(EVP_DigestUpdate(context_.get(), bytes.data(), bytes.size()) == 1, "SHA-256");
  }
  std::string hex() {
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned size = 0;
    check(EVP_DigestFinal_ex(context_.get(), digest, &size) == 1, "SHA-256");
    std::string text;
    for (unsigned i = 0; i < size; ++i) {
      text += "0123456789abcdef"[digest[i] >> 4];
      text += "0123456789abcdef"[digest[i] & 15];
    }
    return text;
  }

 private:
  struct Free {
    void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
  };
  std::unique_ptr<EVP_MD_CTX, Free> context_;
};

}  // namespace

std::string read_file(const std::filesystem::path& path, size_t max_bytes) {
  const Descriptor file(path, O_RDONLY);
  struct stat info{};
  if (file.get() < 0 || ::fstat(file.get(), &info) != 0) fail_open(path);
  const auto refuse_size = [&] {
    fail_input("read: " + path.string() + ": larger than " + std::to_string(max_bytes) + " bytes");
  };
  const auto expected = static_cast<size_t>(info.st_size);  // 0 for pipes and devices
  if (expected > max_bytes) refuse_size();
  std::string bytes(expected, '\0');
  bytes.resize(read_some(file.get(), bytes.data(), expected, path));
  std::string chunk(kBufferBytes, '\0');
  while (const size_t got = read_some(file.get(), chunk.data(), chunk.size(), path)) {
    if (bytes.size() + got > max_bytes) refuse_size();
    bytes.append(chunk, 0, got);
  }
  return bytes;
}

void write_file_atomic(const std::filesystem::path& path, std::string_view bytes) {
  AtomicFile file(path);
  file.write(bytes);
  file.commit();
}

AtomicFile::AtomicFile(std::filesystem::path path) : path_(std::move(path)) {
  struct stat there{};
  if (::stat(path_.c_str(), &there) == 0 && !S_ISREG(there.st_mode)) {
    fail(ErrorCode::kIo, "create: " + path_.string() + ": is there and is no ordinary file " +
                             "(give the name of a file)");
  }
  // One name a target: what a killed run left behind is overwritten by the next.
  temporary_ = path_;
  temporary_ += ".partial";
  fd_ = ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
  if (fd_ < 0) fail_errno("create", path_);
  // Another process may be writing it, or have renamed it since it was opened.
  struct stat opened{}, named{};
  const bool is_taken = (::flock(fd_, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) ||
                        ::fstat(fd_, &opened) != 0 || ::stat(temporary_.c_str(), &named) != 0 ||
                        opened.st_ino != named.st_ino;
  if (is_taken) {
    ::close(fd_);
    fd_ = -1;
    fail(ErrorCode::kIo,
         "create: " + path_.string() +
             ": another process is writing to it (wait for it, or give another name)");
  }
  if (S_ISREG(opened.st_mode) && ::ftruncate(fd_, 0) != 0) fail_errno("create", path_);
}

AtomicFile::~AtomicFile() {
  if (fd_ < 0) return;
  ::close(fd_);
  ::unlink(temporary_.c_str());
}

void AtomicFile::write(std::string_view bytes) {
  buffer_ += bytes;
  if (buffer_.size() >= kBufferBytes) flush();
}

void AtomicFile::write_line(std::string_view line) {
  write(line);
  write("\n");
}

void AtomicFile::flush() {
  write_all(fd_, buffer_, path_);
  buffer_.clear();
}

void AtomicFile::commit() {
  check(fd_ >= 0, "AtomicFile committed twice");
  flush();
  if (::fsync(fd_) != 0) fail_errno("sync", path_);
  if (::rename(temporary_.c_str(), path_.c_str()) != 0) fail_errno("rename", path_);
  ::close(fd_);
  fd_ = -1;
  sync_directory_of(path_);
}

Journal::Journal(std::filesystem::path path, std::string_view opening) : path_(std::move(path)) {
  const Descriptor file(path_, O_RDWR | O_CREAT, 0666);
  if (file.get() < 0) fail_errno("open", path_);
  std::string head(opening.size(), '\0');
  head.resize(read_some(file.get(), head.data(), head.size(), path_));
  if (!opening.starts_with(head)) {
    fail_input(path_.string() + ": is another file: it does not begin with " +
               std::string(opening) + " (give another name)");
  }
  // Cut off what follows the last newline: the write of that line was interrupted.
  const off_t size = ::lseek(file.get(), 0, SEEK_END);
  if (size < 0) fail_errno("open", path_);
  off_t end = size;
  std::string chunk(kBufferBytes, '\0');
  while (end > 0) {
    const off_t begin = std::max<off_t>(0, end - static_cast<off_t>(chunk.size()));
    if (::lseek(file.get(), begin, SEEK_SET) < 0) fail_errno("read", path_);
    const size_t got = read_some(file.get(), chunk.data(), static_cast<size_t>(end - begin), path_);
    const size_t newline = std::string_view(chunk.data(), got).rfind('\n');
    if (newline != std::string_view::npos) {
      end = begin + static_cast<off_t>(newline) + 1;
      break;
    }
    end = begin;
  }
  if (end < size && ::ftruncate(file.get(), end) != 0) fail_errno("repair", path_);
  fd_ = ::open(path_.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC);
  if (fd_ < 0) fail_errno("open", path_);
}

Journal::~Journal() { ::close(fd_); }

void Journal::append(std::string_view line) {
  check(line.find('\n') == line.npos, "a journal line holds a newline");
  const off_t start = ::lseek(fd_, 0, SEEK_END);
  try {
    write_all(fd_, std::string(line) + '\n', path_);
  } catch (const Failure&) {
    // Take a torn line back, or the next append would go on with it. Where even that fails, the
    // next opening repairs it.
    [[maybe_unused]] const int ignored = ::ftruncate(fd_, start);
    throw;
  }
}

void Journal::sync() {
  if (::fsync(fd_) != 0) fail_errno("sync", path_);
}

void Journal::truncate_to(size_t lines) {
  const Descriptor file(path_, O_RDONLY);
  if (file.get() < 0) fail_errno("read", path_);
  std::string chunk(kBufferBytes, '\0');
  off_t end = 0;  // of the lines kept so far
  off_t position = 0;
  while (lines > 0) {
    const size_t got = read_some(file.get(), chunk.data(), chunk.size(), path_);
    if (got == 0) {
      fail_input(path_.string() + ": lacks " + std::to_string(lines) +
                 " of the lines that were written to it (put it back as it was)");
    }
    for (size_t i = 0; i < got && lines > 0; ++i) {
      if (chunk[i] == '\n' && --lines == 0) end = position + static_cast<off_t>(i) + 1;
    }
    position += static_cast<off_t>(got);
  }
  if (::ftruncate(fd_, end) != 0) fail_errno("truncate", path_);
}

std::string sha256_hex(std::string_view bytes) {
  Sha256 hash;
  hash.add(bytes);
  return hash.hex();
}

std::string sha256_file(const std::filesystem::path& path) {
  struct stat info{};
  if (::stat(path.c_str(), &info) != 0) fail_open(path);
  if (!S_ISREG(info.st_mode)) {  // before it is opened: a pipe's writer would not survive the close
    fail_input("read: " + path.string() +
               ": cannot be read twice, as a pipe can't (write it to a file first)");
  }
  const Descriptor file(path, O_RDONLY);
  if (file.get() < 0) fail_open(path);
  Sha256 hash;
  std::string chunk(kBufferBytes, '\0');
  while (const size_t got = read_some(file.get(), chunk.data(), chunk.size(), path)) {
    hash.add(std::string_view(chunk.data(), got));
  }
  return hash.hex();
}

std::filesystem::path beside(std::filesystem::path output, const std::string& suffix) {
  if (output.extension() == ".jsonl") output.replace_extension();  // no other: names would meet
  return output += suffix;
}

void make_private_directory(const std::filesystem::path& path) {
  std::filesystem::path made;
  for (const auto& name : path.lexically_normal()) {
    if (name.empty()) continue;  // what follows a slash at the end
    made /= name;
    std::error_code error;
    if (std::filesystem::is_directory(made, error)) continue;
    // Another process may make it meanwhile; a file of that name is told apart by the next look.
    const bool is_there = ::mkdir(made.c_str(), 0700) == 0 ||
                          (errno == EEXIST && std::filesystem::is_directory(made, error));
    if (!is_there) fail_errno("create folder", made);
  }
  if (::access(path.c_str(), W_OK | X_OK) != 0) fail_errno("write to folder", path);
}

}  // namespace l2a
