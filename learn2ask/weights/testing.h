// What the tests of the weights' files share.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include <gtest/gtest.h>
#include <unistd.h>

#include "base/error.h"

namespace l2a::testing {

// A folder of the test's own, removed with everything in it.
class TemporaryFolder {
 public:
  TemporaryFolder() : path_(::testing::TempDir() + "weights-" + std::to_string(::getpid())) {
    std::filesystem::create_directories(path_);
  }
  ~TemporaryFolder() { std::filesystem::remove_all(path_); }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

inline bool has_python() { return std::filesystem::exists(L2A_PYTHON); }

// Runs tests/reference/gguf_values.py.
inline void run_reference(const std::string& arguments) {
  const std::string command =
      L2A_PYTHON " " L2A_SOURCE_DIR "/tests/reference/gguf_values.py " + arguments;
  ASSERT_EQ(std::system(command.c_str()), 0) << command;
}

// The bytes of numbers and texts, as the files store them.
template <class T>
std::string raw(T value) {
  return {reinterpret_cast<const char*>(&value), sizeof value};
}
inline std::string raw_text(const std::string& text) { return raw<uint64_t>(text.size()) + text; }

// Not synced, as thousands of small files would take their time.
inline void write_quickly(const std::string& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary) << bytes;
}

// The message of the Failure that opening `bytes` as a file throws, without the part that names
// the file; empty when it opens.
template <class File>
std::string refusal(const TemporaryFolder& folder, const std::string& bytes) {
  const std::string path = folder / "file";
  write_quickly(path, bytes);
  try {
    File::open(path);
  } catch (const Failure& e) {
    const size_t at = e.error.message.find(path + ": ");
    EXPECT_NE(at, std::string::npos) << e.error.message;
    return e.error.message.substr(at + path.size() + 2);
  }
  return "";
}

}  // namespace l2a::testing
