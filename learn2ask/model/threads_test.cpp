// That our own row loops run on LibTorch's threads: without OpenMP its headers leave them on one.
#include <mutex>
#include <set>
#include <thread>

#include <ATen/Parallel.h>
#include <gtest/gtest.h>

namespace l2a {
namespace {

TEST(Threads, ALoopIsDealtToAllOfThem) {
  const int64_t threads = at::get_num_threads();
  std::mutex mutex;
  std::set<std::thread::id> seen;
  at::parallel_for(0, 64 * threads, 1, [&](int64_t, int64_t) {
    const std::lock_guard lock(mutex);
    seen.insert(std::this_thread::get_id());
  });
  EXPECT_EQ(static_cast<int64_t>(seen.size()), threads);
}

}  // namespace
}  // namespace l2a
