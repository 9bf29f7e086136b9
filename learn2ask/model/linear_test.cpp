#include "model/linear.h"

#include <gtest/gtest.h>
#include <torch/types.h>

#include "base/rng.h"

namespace l2a {
namespace {

// Against torch in double precision: float32 sums round like the root of their terms, and the
// result is rounded to its type once.
TEST(Linear, BatchInvariantProductsAreThoseOfDoublePrecision) {
  Rng rng(1);
  at::manual_seed(1);
  for (int trial = 0; trial < 200; ++trial) {
    const auto size = [&](uint64_t most) { return static_cast<int64_t>(1 + rng.below(most)); };
    const int64_t n = size(150), i = size(200), o = size(120);
    for (const at::ScalarType type : {at::kFloat, at::kBFloat16}) {
      const auto x = at::randn({n, i}).to(type), w = at::randn({o, i}).to(type);
      const at::Tensor residual = at::randn({n, o}).to(type), bias = at::randn({o}).to(type);
      const double unit = type == at::kFloat ? 0 : 0x1p-9;
      const double sum_error = std::numeric_limits<float>::epsilon() * std::sqrt(i);
      const auto expected = at::mm(x.to(at::kDouble), w.to(at::kDouble).t());
      for (const at::Tensor& added : {at::Tensor(), residual, bias}) {
        const auto want = added.defined() ? expected + added.to(at::kDouble) : expected;
        const auto got = linear(x, w, added, Products::kBatchInvariant);
        ASSERT_EQ(got.scalar_type(), type);
        const double norm = want.norm().item<double>() + expected.norm().item<double>();
        ASSERT_LE((got.to(at::kDouble) - want).norm().item<double>(), (unit + sum_error) * norm)
            << n << " x " << i << " x " << o;
      }
      at::Tensor in_place = residual.clone();
      add_linear_(in_place, x, w, Products::kBatchInvariant);
      ASSERT_TRUE(at::equal(in_place, linear(x, w, residual, Products::kBatchInvariant)));
    }
  }
}

}  // namespace
}  // namespace l2a
