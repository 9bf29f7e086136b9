#include "cli/partial_path.h"

#include <filesystem>

#include <gtest/gtest.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"

namespace l2a {
namespace {

namespace fs = std::filesystem;

class PartialPathTest : public ::testing::Test {
 protected:
  PartialPathTest() { fs::create_directories(directory_); }
  ~PartialPathTest() override { fs::remove_all(directory_); }

  static void write_into(const PartialPath& partial) {
    fs::create_directories(partial.path());
    write_file_atomic(partial.path() / "new", "new");
  }

  const fs::path directory_ =
      fs::temp_directory_path() / ("l2a_partial_path_" + std::to_string(getpid()));
  const fs::path out_ = directory_ / "out";
};

TEST_F(PartialPathTest, LeavesNothingUnlessItIsKept) {
  {
    write_into(PartialPath(out_.string()));
  }
  EXPECT_TRUE(fs::is_empty(directory_));
  const PartialPath partial(out_.string() + "/");
  write_into(partial);
  partial.keep();
  EXPECT_EQ(read_file(out_ / "new"), "new");
}

TEST_F(PartialPathTest, KeepsWhatSomebodyPutThereMeanwhile) {
  const PartialPath partial(out_.string());
  write_into(partial);
  fs::create_directories(out_);
  write_file_atomic(out_ / "precious", "theirs");
  EXPECT_THROW(partial.keep(), Failure);
  EXPECT_EQ(read_file(out_ / "precious"), "theirs");
  EXPECT_FALSE(fs::exists(out_ / "new"));
}

TEST_F(PartialPathTest, TakesThePlaceOfAnEarlierOne) {
  fs::create_directories(out_);
  write_file_atomic(out_ / "old", "old");
  const PartialPath partial(out_.string());
  write_into(partial);
  partial.replace();
  EXPECT_EQ(read_file(out_ / "new"), "new");
  EXPECT_FALSE(fs::exists(out_ / "old"));
}

}  // namespace
}  // namespace l2a
