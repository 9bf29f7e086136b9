// Helpers of the tests of every module. Not part of the program.
#pragma once

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <utility>

#include <gtest/gtest.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"

namespace l2a {

// A folder of its own, removed with all that is in it.
class TempDir {
 public:
  TempDir() {
    std::string pattern = (std::filesystem::temp_directory_path() / "learn2ask-XXXXXX").string();
    check(::mkdtemp(pattern.data()) != nullptr, "no temporary folder");
    path_ = pattern;
  }
  ~TempDir() { std::filesystem::remove_all(path_); }
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;
  std::filesystem::path operator/(const std::string& name) const { return path_ / name; }
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

// Stands still until it is told how much time goes by.
class FakeClock final : public Clock {
 public:
  std::chrono::steady_clock::time_point now() const override { return now_; }
  void pass(std::chrono::milliseconds time) { now_ += time; }

 private:
  std::chrono::steady_clock::time_point now_{};
};

// The message of the Failure that `action` throws; a test failure when it throws none.
template <class Action>
std::string failure_of(Action&& action) {
  try {
    std::forward<Action>(action)();
  } catch (const Failure& failure) {
    return failure.error.message;
  }
  ADD_FAILURE() << "no Failure was thrown";
  return {};
}

}  // namespace l2a
