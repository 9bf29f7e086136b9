#include "model/int8_matrix.h"

#include <cmath>

#include <gtest/gtest.h>
#include <torch/types.h>

#include "base/rng.h"

namespace l2a {
namespace {

std::vector<Int8Kernel> kernels_here() {
  std::vector<Int8Kernel> kernels = {Int8Kernel::kPlain};
  if (best_int8_kernel() != Int8Kernel::kPlain) kernels.push_back(Int8Kernel::kAvx2);
  if (best_int8_kernel() == Int8Kernel::kAvx512Vnni) kernels.push_back(Int8Kernel::kAvx512Vnni);
  return kernels;
}

// The largest magnitude of each 64 numbers of a row, at each of them.
at::Tensor largest_of_group(const at::Tensor& x_ni) {
  const int64_t groups = (x_ni.size(1) + 63) / 64;
  const auto padded = at::constant_pad_nd(x_ni, {0, groups * 64 - x_ni.size(1)});
  return std::get<0>(padded.view({-1, groups, 64}).abs().max(2))
      .repeat_interleave(64, 1)
      .slice(1, 0, x_ni.size(1));
}

// A number is off by half a step of its group at most, a product by what that makes of it.
at::Tensor error_bound(const at::Tensor& x_ni, const at::Tensor& w_oi) {
  const auto x_step = largest_of_group(x_ni) / 254, w_step = largest_of_group(w_oi) / 254;
  return at::mm(x_ni.abs(), w_step.t()) + at::mm(x_step, w_oi.abs().t()) +
         at::mm(x_step, w_step.t());
}

TEST(Int8Matrix, ProductsAreWithinHalfAStepOfEachNumber) {
  Rng rng(1);
  at::manual_seed(1);
  for (int trial = 0; trial < 200; ++trial) {
    const auto size = [&](uint64_t most) { return static_cast<int64_t>(1 + rng.below(most)); };
    const int64_t n = size(220), i = size(200), o = size(120);
    for (const at::ScalarType type : {at::kFloat, at::kBFloat16}) {
      const auto x = at::randn({n, i}).to(type), w = at::randn({o, i}).to(type);
      const at::Tensor residual = at::randn({n, o}).to(type), bias = at::randn({o}).to(type);
      const auto wide_x = x.to(at::kDouble), wide_w = w.to(at::kDouble);
      const auto exact = at::mm(wide_x, wide_w.t());
      const Int8Matrix matrix = to_int8(w);
      for (const at::Tensor& added : {at::Tensor(), residual, bias}) {
        const auto want = added.defined() ? exact + added.to(at::kDouble) : exact;
        const double unit = type == at::kFloat ? 0x1p-20 : 0x1p-8;
        const auto bound = error_bound(wide_x, wide_w) + unit * (want.abs() + 1);
        for (const Int8Kernel kernel : kernels_here()) {
          const auto got = linear(x, matrix, added, kernel);
          ASSERT_EQ(got.scalar_type(), type);
          ASSERT_TRUE(((got.to(at::kDouble) - want).abs() <= bound).all().item<bool>())
              << n << " x " << i << " x " << o << ", kernel " << static_cast<int>(kernel);
        }
      }
    }
  }
}

// Whole numbers up to 127, the largest in each group, lose nothing: sums are those of int64.
TEST(Int8Matrix, WholeNumbersAreMultipliedExactly) {
  at::manual_seed(2);
  const auto whole = [](int64_t rows, int64_t columns) {
    auto numbers = at::randint(-127, 128, {rows, columns}, at::kFloat);
    for (int64_t j = 0; j < columns; j += 64) numbers.select(1, j).fill_(j % 128 ? 127 : -127);
    return numbers;
  };
  for (const int64_t n : {1, 2, 5, 6, 7, 13, 191, 192, 193}) {
    const auto x = whole(n, 576), w = whole(70, 576);
    const auto exact = at::mm(x.to(at::kDouble), w.to(at::kDouble).t()).to(at::kFloat);
    for (const Int8Kernel kernel : kernels_here()) {
      ASSERT_TRUE(at::equal(linear(x, to_int8(w), {}, kernel), exact));
    }
  }
}

TEST(Int8Matrix, ATokenIsTheSameBitsInAnyBatch) {
  at::manual_seed(3);
  const auto x = at::randn({400, 200}).to(at::kBFloat16);
  const Int8Matrix w = to_int8(at::randn({300, 200}));
  for (const Int8Kernel kernel : kernels_here()) {
    const auto all = linear(x, w, {}, kernel);
    for (const int64_t begin : {0, 3, 189, 399}) {
      for (const int64_t count : {1, 5, 6, 200}) {
        const auto part = x.slice(0, begin, begin + count);
        ASSERT_TRUE(at::equal(linear(part, w, {}, kernel), all.slice(0, begin, begin + count)));
      }
    }
  }
}

TEST(Int8Matrix, WhatIsNotFiniteStaysSo) {
  at::manual_seed(4);
  const Int8Matrix w = to_int8(at::randn({40, 130}));
  for (const at::ScalarType type : {at::kFloat, at::kBFloat16}) {
    for (const double bad : {std::nan(""), HUGE_VAL, -HUGE_VAL}) {
      auto x = at::randn({7, 130});
      x[2][129] = bad;
      for (const Int8Kernel kernel : kernels_here()) {
        const auto finite = at::isfinite(linear(x.to(type), w, {}, kernel));
        EXPECT_FALSE(finite[2].any().item<bool>());
        EXPECT_EQ(finite.sum().item<int64_t>(), 6 * 40);
      }
    }
  }
}

TEST(Int8Matrix, TakesAByteANumberAndItsPartOfAScale) {
  const Int8Matrix w = to_int8(at::ones({96, 320}));
  EXPECT_EQ(static_cast<double>(w.numbers.nbytes() + w.scales.nbytes()),
            kInt8NumberBytes * 96 * 320);
}

TEST(Int8Matrix, ZerosAndTheSmallestNumbersAreZero) {
  const Int8Matrix w = to_int8(at::ones({3, 64}));
  for (const double tiny : {0.0, 1e-45, 1e-31}) {
    EXPECT_TRUE(at::equal(linear(at::full({2, 64}, tiny), w, {}), at::zeros({2, 3})));
  }
}

}  // namespace
}  // namespace l2a
