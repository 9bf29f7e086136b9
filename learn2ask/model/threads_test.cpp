// That our own row loops run on LibTorch's threads (without OpenMP its headers leave them on one),
// and that these threads agree from the first vector function (exp, tanh, ...) on.
#include <cstdlib>
#include <mutex>
#include <set>
#include <thread>

#include <ATen/Parallel.h>
#include <gtest/gtest.h>
#include <torch/types.h>

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

// Computes the same twice, the first time while the second thread is still awake from a product.
[[noreturn]] void exit_with_whether_tanh_repeats() {
  at::set_num_threads(2);
  const at::Tensor x = at::linspace(0.01, 0.9, 4848);
  for (int i = 0; i < 20; ++i) at::matmul(at::ones({48, 64}), at::ones({64, 101}));
  const at::Tensor first = at::tanh(x);
  std::_Exit(at::equal(first, at::tanh(x)) ? 0 : 1);
}

// A process can go wrong but once, and where MKL is not settled (transformer_load.cpp) some four in
// a hundred do: one run of this test in three finds it.
TEST(Threads, AgreeWhereVectorFunctionsAreFirstUsed) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  unsetenv("OMP_WAIT_POLICY");  // a thread that has to be woken comes too late
  for (int process = 0; process < 15; ++process) {
    ASSERT_EXIT(exit_with_whether_tanh_repeats(), testing::ExitedWithCode(0), "");
  }
}

}  // namespace
}  // namespace l2a
