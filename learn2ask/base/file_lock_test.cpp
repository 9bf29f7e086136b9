#include "base/file_lock.h"

#include <memory>

#include <gtest/gtest.h>

#include "base/testing.h"

namespace l2a {
namespace {

TEST(FileLock, IsHeldByOneAtATimeAndLetGoOf) {
  const TempDir dir;
  const auto path = dir / "journal";
  {
    const FileLock lock(path);
    EXPECT_EQ(failure_of([&] { FileLock another(path); }),
              "open: " + path.string() +
                  ": another process is writing to it: wait for it, or name another file");
  }
  const FileLock again(path);
}

TEST(DirectoryLock, IsHeldByOneAtATime) {
  const TempDir dir;
  const auto lock = std::make_unique<DirectoryLock>(dir.path());
  EXPECT_EQ(failure_of([&] { DirectoryLock another(dir.path()); }),
            "run directory: " + dir.path().string() +
                ": another process is at work there: wait for it, or give another directory");
}

TEST(DirectoryLock, IsLetGoOf) {
  const TempDir dir;
  {
    const DirectoryLock lock(dir.path());
  }
  const DirectoryLock again(dir.path());
}

}  // namespace
}  // namespace l2a
