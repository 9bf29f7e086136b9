// Files: whole reads, atomic writes, append-only journals, hashes.
#pragma once

#include <cstddef>
#include <filesystem>
#include <string>
#include <string_view>

#include "base/error.h"

namespace l2a {

// The bytes of a file. Throws Failure: kNotFound, kIo, or kInvalidInput past `max_bytes`
// (checked before anything is allocated).
std::string read_file(const std::filesystem::path& path, size_t max_bytes = size_t{1} << 30);

// Writes through a temporary file in the same directory, syncs, renames. On any failure the
// old file is untouched and the temporary one is gone. Throws Failure (kIo).
void write_file_atomic(const std::filesystem::path& path, std::string_view bytes);

// An output that appears under its name only when commit() is called; abandoned without a
// trace otherwise. For derived files too large to hold in memory. Not thread-safe.
class AtomicFile {
 public:
  // Throws Failure (kIo), also while another process writes it, and for a folder or a device.
  explicit AtomicFile(std::filesystem::path path);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;
  void write(std::string_view bytes);  // Throws Failure (kIo: disk full says so)
  void write_line(std::string_view line);
  void commit();  // flush, sync, rename

 private:
  std::filesystem::path path_, temporary_;
  int fd_ = -1;
  std::string buffer_;
  void flush();
};

// Append-only journal of lines: each append is one write, so a killed process leaves at most
// one torn last line, which opening cuts off (whole lines are never lost). Not thread-safe.
class Journal {
 public:
  // Creates it, or repairs its end. Throws Failure: kIo; kInvalidInput for a file that does not
  // begin with `opening`, which is left as it is: opening another kind of file would cut it.
  explicit Journal(std::filesystem::path path, std::string_view opening = {});
  ~Journal();
  Journal(const Journal&) = delete;
  Journal& operator=(const Journal&) = delete;
  void append(std::string_view line);  // without newline. Throws Failure (kIo)
  void sync();
  // Cuts the journal to its first `lines` lines: what a resumed run redoes is written again. Throws
  // Failure where it has fewer: kInvalidInput.
  void truncate_to(size_t lines);

 private:
  std::filesystem::path path_;
  int fd_ = -1;
};

// Lower-case hex SHA-256.
std::string sha256_hex(std::string_view bytes);
// Streamed. Throws Failure: kNotFound, kIo; kInvalidInput for a pipe, whose reader would miss what
// was hashed, or the hash what was read.
std::string sha256_file(const std::filesystem::path& path);

// The name of a file that belongs to `output`: "train.failures.jsonl" of "train.jsonl",
// "labels.v1.failures.jsonl" of "labels.v1".
std::filesystem::path beside(std::filesystem::path output, const std::string& suffix);

// Creates `path` and what is missing above it, each with mode 0700. Throws Failure (kIo) when it is
// not a writable directory afterwards.
void make_private_directory(const std::filesystem::path& path);

}  // namespace l2a
