// The failures of a job over many things, one a line of a file, and what share of the things
// failed.
#pragma once

#include <cstddef>
#include <deque>
#include <filesystem>
#include <string>

#include "base/file.h"

namespace l2a {

// Where the failures of a job go: "train.failures.jsonl" beside "train.jsonl".
std::filesystem::path failures_path(const std::filesystem::path& output);

// Not thread-safe.
class FailureLog {
 public:
  // `job` and `things` stand in what is thrown: "label", "sessions".
  FailureLog(std::filesystem::path path, std::string job, std::string things, double max_rate);

  // {"where", "error"}
  void add(const std::string& where, const std::string& error);
  // Counts one thing. Throws Failure (kInvalidInput) when more than the highest share of the last
  // 200 failed; the file is there then.
  void end_one(bool failed);
  // Throws the same past that share of all. Without failures there is no file afterwards.
  void finish();

  size_t failed() const { return failed_; }

 private:
  void refuse_if(size_t failed, size_t all, const char* of);

  std::filesystem::path path_;
  std::string job_, things_;
  double max_rate_;
  AtomicFile file_;
  size_t lines_ = 0, failed_ = 0, all_ = 0, recent_failed_ = 0;
  std::deque<bool> recent_;
  std::string first_;
};

}  // namespace l2a
