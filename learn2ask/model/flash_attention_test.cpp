// Flash attention against the tasks one by one in float32, on a device that has it.

#include "model/flash_attention.h"

#include <gtest/gtest.h>
#include <torch/types.h>

#include "base/rng.h"
#include "model/testing.h"
#include "model/tree_attention.h"

namespace l2a {
namespace {

struct Shape {
  int64_t kv_heads, group, head_dim, window;
};

class FlashAttention : public ::testing::TestWithParam<Shape> {
 protected:
  void SetUp() override {
    if (!has_flash_attention(device_, at::kBFloat16, GetParam().head_dim)) {
      GTEST_SKIP() << device_ << " has no flash attention";
    }
  }

  at::Tensor draw(at::IntArrayRef shape) {
    return at::randn(shape, generator_).to(at::kBFloat16).to(device_);
  }

  const at::Device device_{testing::device()};
  at::Generator generator_ = at::make_generator<at::CPUGeneratorImpl>(3);
};

// The kernels round what they sum once, to bfloat16.
void expect_near(const at::Tensor& got, const at::Tensor& expected, double ulps, const char* what) {
  ASSERT_EQ(got.sizes(), expected.sizes()) << what;
  const auto exact = expected.cpu().to(at::kDouble);
  EXPECT_LE((got.cpu().to(at::kDouble) - exact).norm().item<double>(),
            ulps * 0x1p-8 * exact.norm().item<double>())
      << what;
}

TEST_P(FlashAttention, EqualsTheTasksOneByOne) {
  const auto [kv, g, h, window] = GetParam();
  Rng rng(7);
  for (int trial = 0; trial < 6; ++trial) {
    const TokenTree tree = build_token_tree(testing::random_rows(rng, 12, 60, 101));
    const int64_t n = tree.tokens();
    const AttentionInput in{draw({kv, n, g, h}), draw({kv, n, h}), draw({kv, n, h})};
    const auto grad = draw({n, kv, g, h});
    const double scale = 1 / std::sqrt(static_cast<double>(h));

    const FlashPlan plan = plan_flash_attention(tree, window, device_);
    const AttentionOutput out = flash_tree_attention(in, plan, scale);
    const AttentionInput by = flash_tree_attention_backward(grad, in, out, plan, scale);

    const auto tasks = plan_attention(tree, {.window = window});
    const AttentionInput wide{in.q_kngh.to(at::kFloat), in.k_knh.to(at::kFloat),
                              in.v_knh.to(at::kFloat)};
    const AttentionOutput expected = composed_tree_attention(wide, tasks, scale);
    const AttentionInput expected_by =
        composed_tree_attention_backward(grad.to(at::kFloat), wide, expected, tasks, scale);
    expect_near(out.out_nkgh, expected.out_nkgh, 1, "output");
    expect_near(out.lse_kng, expected.lse_kng, 1, "denominator");
    expect_near(by.q_kngh, expected_by.q_kngh, 2, "gradient of the queries");
    expect_near(by.k_knh, expected_by.k_knh, 2, "gradient of the keys");
    expect_near(by.v_knh, expected_by.v_knh, 2, "gradient of the values");
  }
}

INSTANTIATE_TEST_SUITE_P(Shapes, FlashAttention,
                         ::testing::Values(Shape{3, 2, 8, 0}, Shape{3, 3, 64, 0},
                                           Shape{5, 1, 64, 0}, Shape{1, 7, 128, 0},
                                           Shape{2, 2, 64, 5}, Shape{1, 4, 256, 40}));

}  // namespace
}  // namespace l2a
