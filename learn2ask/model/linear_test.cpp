#include "model/linear.h"

#include <vector>

#include <gtest/gtest.h>
#include <torch/types.h>

#include "base/rng.h"
#include "model/panel_product.h"

namespace l2a {
namespace {

// Against torch in double precision: float32 sums round like the root of their terms, and the
// result is rounded to its type once.
void expect_near(const at::Tensor& got, const at::Tensor& product, const at::Tensor& added,
                 int64_t terms) {
  const at::Tensor want = added.defined() ? product + added.to(at::kDouble) : product;
  const double unit = got.scalar_type() == at::kFloat ? 0 : 0x1p-9;
  const double sum_error =
      std::numeric_limits<float>::epsilon() * std::sqrt(static_cast<double>(terms));
  const double norm = want.norm().item<double>() + product.norm().item<double>();
  ASSERT_LE((got.to(at::kDouble) - want).norm().item<double>(), (unit + sum_error) * norm)
      << got.sizes() << " of " << terms << " terms";
}

TEST(Linear, BatchInvariantProductsAreThoseOfDoublePrecision) {
  Rng rng(1);
  at::manual_seed(1);
  for (int trial = 0; trial < 200; ++trial) {
    const auto size = [&](uint64_t most) { return static_cast<int64_t>(1 + rng.below(most)); };
    const int64_t n = size(150), i = size(200), o = size(120);
    for (const at::ScalarType type : {at::kFloat, at::kBFloat16}) {
      const auto x = at::randn({n, i}).to(type), w = at::randn({o, i}).to(type);
      const at::Tensor residual = at::randn({n, o}).to(type), bias = at::randn({o}).to(type);
      const auto expected = at::mm(x.to(at::kDouble), w.to(at::kDouble).t());
      for (const at::Tensor& added : {at::Tensor(), residual, bias}) {
        const auto got = linear(x, w, added, Products::kBatchInvariant);
        ASSERT_EQ(got.scalar_type(), type);
        expect_near(got, expected, added, i);
      }
      at::Tensor in_place = residual.clone();
      add_linear_(in_place, x, w, Products::kBatchInvariant);
      ASSERT_TRUE(at::equal(in_place, linear(x, w, residual, Products::kBatchInvariant)));
    }
  }
}

// Operands that lie row by row, column by column or neither; one with more terms than a block has,
// and one whose columns are laid out in several runs.
TEST(PanelProduct, IsThatOfDoublePrecisionHoweverTheOperandsLie) {
  struct Shape {
    int64_t m, k, n;
  };
  const std::vector<Shape> shapes = {{3, 70, 33},   {40, 17, 5},     {300, 33, 130},
                                     {20, 1500, 9}, {260, 3000, 70}, {257, 2, 500}};
  at::manual_seed(2);
  const auto lay = [](const at::Tensor& x, int way) {
    if (way == 0) return x.contiguous();
    if (way == 1) return x.t().contiguous().t();
    return at::cat({x, x}, 1).slice(1, 0, x.size(1));
  };
  const auto many = at::randn({300, 40000}), few = at::randn({40000, 70});
  for (const at::ScalarType type : {at::kFloat, at::kBFloat16}) {
    const auto expect = [&](const at::Tensor& a, const at::Tensor& b) {
      at::Tensor out = at::empty({a.size(0), b.size(1)}, type);
      panel_product(a, b, {}, out);
      expect_near(out, at::mm(a.to(at::kDouble), b.to(at::kDouble)), {}, a.size(1));
    };
    for (const auto& [m, k, n] : shapes) {
      const auto a = at::randn({m, k}).to(type), b = at::randn({k, n}).to(type);
      for (int way = 0; way < 9; ++way) expect(lay(a, way / 3), lay(b, way % 3));
    }
    expect(many.to(type), few.to(type));
  }
}

// Those of backward passes, the library's or ours.
TEST(Product, IsThatOfDoublePrecision) {
  at::manual_seed(3);
  for (const at::ScalarType type : {at::kFloat, at::kBFloat16}) {
    const auto a = at::randn({70, 30}).to(type), b = at::randn({30, 40}).to(type);
    const auto y = at::randn({70, 40}).to(type);
    const auto expected = at::mm(a.to(at::kDouble), b.to(at::kDouble));
    expect_near(product(a, b), expected, {}, 30);
    at::Tensor sum = y.clone();
    add_product_(sum, a, b);
    expect_near(sum, expected, y, 30);
  }
}

}  // namespace
}  // namespace l2a
