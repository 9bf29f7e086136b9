// The CPU's kernels against the same from torch's operators, and against double precision.

#include <cmath>

#include <gtest/gtest.h>
#include <torch/torch.h>

#include "base/rng.h"
#include "model/cpu_attention.h"
#include "model/ops.h"
#include "model/panel.h"
#include "model/row_kernels.h"
#include "model/testing.h"

namespace l2a {
namespace {

constexpr double kFloatUlp = std::numeric_limits<float>::epsilon();
constexpr double kBf16Ulp = 1.0 / 256;

// |a - b| <= ulps * ulp * |b|, in the norm.
void expect_near(const at::Tensor& a, const at::Tensor& b, double tolerance,
                 const std::string& what) {
  ASSERT_EQ(a.sizes(), b.sizes()) << what;
  const auto wide = b.to(at::kDouble);
  const double error = (a.to(at::kDouble) - wide).norm().item<double>();
  EXPECT_LE(error, tolerance * wide.norm().item<double>()) << what;
}

at::Generator seeded(uint64_t seed) { return at::make_generator<at::CPUGeneratorImpl>(seed); }

TEST(FastExp, IsWithinTwoUlpsOfTheExponential) {
  for (float x = -86.9f; x < 87.9f; x += 0.00137f) {
    const double exact = std::exp(static_cast<double>(x));
    ASSERT_NEAR(fast_exp(x), exact, 2 * kFloatUlp * exact) << x;
  }
  EXPECT_EQ(fast_exp(0), 1);
  EXPECT_LT(fast_exp(-INFINITY), 2e-38f);
  EXPECT_TRUE(std::isfinite(fast_exp(INFINITY)));
  EXPECT_TRUE(std::isnan(fast_exp(NAN)));
}

TEST(Bfloat16, RoundsAsTorchDoes) {
  auto generator = seeded(1);
  const auto x = at::randn({100000}, generator) * at::randn({100000}, generator).exp();
  const auto expected = x.to(at::kBFloat16);
  for (int64_t i = 0; i < x.numel(); ++i) {
    BFloat16 ours;
    narrow(x.const_data_ptr<float>()[i], ours);
    ASSERT_EQ(ours.x, expected.const_data_ptr<BFloat16>()[i].x);
  }
  BFloat16 nan;
  narrow(NAN, nan);
  EXPECT_TRUE(std::isnan(widen(nan)));
}

template <class T, class Unit>
void check_products(double tolerance) {
  constexpr int64_t kPerUnit = std::is_same_v<Unit, Bf16Pair> ? 2 : 1;
  auto generator = seeded(2);
  for (const int64_t rows : {1, 2, 5, 6, 7, 13}) {
    for (const int64_t columns : {16, 32, 48, 64, 80, 144}) {
      for (const int64_t inner : {2, 8, 34}) {
        const auto type = c10::CppTypeToScalarType<T>::value;
        const auto a = at::randn({rows, inner}, generator).to(type);
        const auto b = at::randn({columns, inner}, generator).to(type);
        auto left = a.to(kPerUnit == 2 ? at::kBFloat16 : at::kFloat);
        std::vector<const T*> b_rows;
        for (int64_t j = 0; j < columns; ++j) b_rows.push_back(b.const_data_ptr<T>() + j * inner);
        std::vector<Unit> right(columns * inner / kPerUnit);
        pack_transposed(b_rows.data(), columns, inner, right.data());
        auto out = at::ones({rows, columns});
        multiply({static_cast<const Unit*>(left.data_ptr()), inner / kPerUnit, 1},
                 {right.data(), columns}, {rows, columns, inner / kPerUnit}, out.data_ptr<float>(),
                 columns, true);
        const auto exact = a.to(at::kDouble).mm(b.to(at::kDouble).t()) + 1;
        expect_near(out, exact, tolerance, "along rows");

        // The same product with the inner dimension across the rows of the right operand.
        const auto bt = b.t().contiguous();
        b_rows.clear();
        for (int64_t u = 0; u < inner; ++u) b_rows.push_back(bt.const_data_ptr<T>() + u * columns);
        pack_rows(b_rows.data(), inner, columns, right.data(), columns);
        multiply({static_cast<const Unit*>(left.data_ptr()), inner / kPerUnit, 1},
                 {right.data(), columns}, {rows, columns, inner / kPerUnit}, out.data_ptr<float>(),
                 columns, false);
        expect_near(out, exact - 1, tolerance, "across rows");
      }
    }
  }
}

TEST(Panel, ProductsEqualThoseInDoublePrecision) {
  check_products<float, float>(8 * kFloatUlp);
  check_products<BFloat16, float>(8 * kFloatUlp);
  if (has_bf16_products()) check_products<BFloat16, Bf16Pair>(8 * kFloatUlp);
}

struct AttentionCase {
  int64_t kv, g, h;
};

class Attention : public ::testing::TestWithParam<AttentionCase> {
 protected:
  // Runs both directions on random trees and holds them against composed_tree_attention in
  // float32, from the same numbers.
  static void check_attention(at::ScalarType type, bool pairs, double tolerance) {
    const auto [kv, g, h] = GetParam();
    Rng rng(3);
    auto generator = seeded(4);
    for (int trial = 0; trial < 6; ++trial) {
      const TokenTree tree = build_token_tree(testing::random_rows(rng, 15, 70, 1000));
      const int64_t n = tree.tokens();
      const AttentionInput in{at::randn({kv, n, g, h}, generator).to(type),
                              at::randn({kv, n, h}, generator).to(type),
                              at::randn({kv, n, h}, generator).to(type)};
      const AttentionInput wide{in.q_kngh.to(at::kFloat), in.k_knh.to(at::kFloat),
                                in.v_knh.to(at::kFloat)};
      const auto grad = at::randn({n, kv, g, h}, generator).to(type);
      const auto tasks = plan_attention(tree);
      const auto out = cpu_tree_attention(in, tasks, pairs);
      const auto expected = composed_tree_attention(wide, plan_attention(tree, 17));
      expect_near(out.out_nkgh, expected.out_nkgh, tolerance, "out");
      expect_near(out.lse_kng, expected.lse_kng, tolerance, "lse");
      const auto g_in = cpu_tree_attention_backward(grad, in, out, tasks, pairs);
      const auto g_expected =
          composed_tree_attention_backward(grad.to(at::kFloat), wide, expected, tasks);
      expect_near(g_in.q_kngh, g_expected.q_kngh, tolerance, "grad q");
      expect_near(g_in.k_knh, g_expected.k_knh, tolerance, "grad k");
      expect_near(g_in.v_knh, g_expected.v_knh, tolerance, "grad v");
    }
  }
};

TEST_P(Attention, Float32) { check_attention(at::kFloat, false, 16 * kFloatUlp); }
TEST_P(Attention, Bfloat16Widened) { check_attention(at::kBFloat16, false, 2 * kBf16Ulp); }
TEST_P(Attention, Bfloat16InPairs) {
  if (!has_bf16_products()) GTEST_SKIP() << "this processor has no AVX-512 BF16";
  check_attention(at::kBFloat16, true, 2 * kBf16Ulp);
}

INSTANTIATE_TEST_SUITE_P(Shapes, Attention,
                         ::testing::Values(AttentionCase{3, 3, 64}, AttentionCase{1, 1, 8},
                                           AttentionCase{2, 7, 24}, AttentionCase{5, 1, 48},
                                           AttentionCase{1, 9, 128}));

// The threads' shares differ, the result up to rounding does not.
TEST(AttentionThreads, AnyNumberGivesTheSame) {
  Rng rng(5);
  auto generator = seeded(6);
  const TokenTree tree = build_token_tree(testing::random_rows(rng, 15, 70, 1000));
  const AttentionInput in{at::randn({3, tree.tokens(), 3, 16}, generator),
                          at::randn({3, tree.tokens(), 16}, generator),
                          at::randn({3, tree.tokens(), 16}, generator)};
  const auto tasks = plan_attention(tree);
  const int before = at::get_num_threads();
  at::set_num_threads(1);
  const auto one = cpu_tree_attention(in, tasks);
  const auto one_grad = cpu_tree_attention_backward(one.out_nkgh, in, one, tasks);
  at::set_num_threads(3);
  const auto three = cpu_tree_attention(in, tasks);
  const auto three_grad = cpu_tree_attention_backward(one.out_nkgh, in, one, tasks);
  at::set_num_threads(before);
  EXPECT_TRUE(at::equal(one.out_nkgh, three.out_nkgh));
  expect_near(three_grad.k_knh, one_grad.k_knh, 4 * kFloatUlp, "grad k");
}

class Ops : public ::testing::TestWithParam<at::ScalarType> {
 protected:
  at::Tensor random(at::IntArrayRef shape) {
    return at::randn(shape, generator_).mul_(2).to(GetParam());
  }
  // Both round once at the end, from float32.
  double tolerance() const { return GetParam() == at::kFloat ? 8 * kFloatUlp : 0.1 * kBf16Ulp; }
  at::Generator generator_ = seeded(7);
};

TEST_P(Ops, RmsNorm) {
  const auto x = random({37, 83}), grad = random({37, 83}), residual = random({37, 83});
  const auto weight = at::randn({83}, generator_);
  expect_near(rms_norm(x, weight, 1e-5), composed::rms_norm(x, weight, 1e-5), tolerance(), "out");
  for (const auto& r : {residual, at::Tensor()}) {
    expect_near(rms_norm_backward(grad, x, weight, 1e-5, r),
                composed::rms_norm_backward(grad, x, weight, 1e-5, r), tolerance(), "grad");
  }
}

TEST_P(Ops, SplitAndRotate) {
  const TransformerConfig config = testing::tiny_config(6, 2);
  const RotaryTable table = rotary_table(at::arange(41) * 3, config);
  const auto qkv = random({41, 80});
  const auto ours = split_and_rotate(qkv, table, config);
  const auto expected = composed::split_and_rotate(qkv, table, config);
  expect_near(ours.q_kngh, expected.q_kngh, tolerance(), "q");
  expect_near(ours.k_knh, expected.k_knh, tolerance(), "k");
  EXPECT_TRUE(at::equal(ours.v_knh, expected.v_knh));
  expect_near(split_and_rotate_backward(ours, table),
              composed::split_and_rotate_backward(ours, table), tolerance(), "grad");
}

TEST_P(Ops, SiluMul) {
  const auto gate_up = random({37, 166}), grad = random({37, 83});
  expect_near(silu_mul(gate_up), composed::silu_mul(gate_up), tolerance(), "out");
  expect_near(silu_mul_backward(grad, gate_up), composed::silu_mul_backward(grad, gate_up),
              tolerance(), "grad");
}

INSTANTIATE_TEST_SUITE_P(Types, Ops, ::testing::Values(at::kFloat, at::kBFloat16));

}  // namespace
}  // namespace l2a
