#include "model/panel.h"

#include <cmath>
#include <vector>

#include <gtest/gtest.h>

#include "base/rng.h"
#include "model/panel_amx.h"

namespace l2a {
namespace {

template <class Unit>
using Multiply = void (*)(const LeftPanel<Unit>&, const RightPanel<Unit>&, const PanelShape&,
                          float*, int64_t, bool);

void draw(Rng& rng, float& out) { out = static_cast<float>(rng.uniform() - 0.5); }
void draw(Rng& rng, Bf16Pair& out) {
  narrow(static_cast<float>(rng.uniform() - 0.5), out.first);
  narrow(static_cast<float>(rng.uniform() - 0.5), out.second);
}

template <class Unit>
std::vector<Unit> draw(Rng& rng, int64_t count) {
  std::vector<Unit> units(static_cast<size_t>(count));
  for (Unit& unit : units) draw(rng, unit);
  return units;
}

// The sum of a unit's products, and of their sizes.
struct Term {
  double sum, size;
};
Term term(float a, float b) {
  const double product = static_cast<double>(a) * b;
  return {product, std::abs(product)};
}
Term term(Bf16Pair a, Bf16Pair b) {
  const Term first = term(widen(a.first), widen(b.first));
  const Term second = term(widen(a.second), widen(b.second));
  return {first.sum + second.sum, first.size + second.size};
}

// Shapes with and without whole tiles, the left operand along its rows and across.
template <class Unit>
void expect_products(Multiply<Unit> multiply) {
  Rng rng(3);
  for (int trial = 0; trial < 300; ++trial) {
    const auto rows = static_cast<int64_t>(rng.below(40)) + 1;
    const auto columns = 16 * static_cast<int64_t>(rng.below(9));
    const auto units = static_cast<int64_t>(rng.below(50));
    const bool across = rng.chance(0.5), add = rng.chance(0.5);
    const int64_t out_row = columns + 3, right_row = columns + 5;
    const int64_t left_row = across ? 1 : units + 2, left_unit = across ? rows + 7 : 1;
    const auto left = draw<Unit>(rng, (rows + 7) * (units + 2)),
               right = draw<Unit>(rng, right_row * (units + 1));
    std::vector<float> out(static_cast<size_t>(rows * out_row), 0.25f);
    multiply({left.data(), left_row, left_unit}, {right.data(), right_row}, {rows, columns, units},
             out.data(), out_row, add);
    for (int64_t i = 0; i < rows; ++i) {
      for (int64_t j = 0; j < columns; ++j) {
        double sum = add ? 0.25 : 0, size = 1;
        for (int64_t u = 0; u < units; ++u) {
          const Term t = term(left[static_cast<size_t>(i * left_row + u * left_unit)],
                              right[static_cast<size_t>(u * right_row + j)]);
          sum += t.sum;
          size += t.size;
        }
        ASSERT_NEAR(out[static_cast<size_t>(i * out_row + j)], sum, 8 * 0x1p-24 * size)
            << rows << " x " << columns << " x " << units << (across ? " across" : "") << " at "
            << i << ", " << j;
      }
      for (int64_t j = columns; j < out_row; ++j) {
        ASSERT_EQ(out[static_cast<size_t>(i * out_row + j)], 0.25f) << "beyond the columns";
      }
    }
  }
}

TEST(Panel, PortableProductsAreThoseInDoublePrecision) {
  expect_products<float>(portable_multiply);
}

TEST(Panel, Avx2ProductsAreThoseInDoublePrecision) {
  if (!has_avx2()) GTEST_SKIP() << "no AVX2 here";
  expect_products<float>(avx2_multiply);
}

TEST(Panel, Avx512ProductsAreThoseInDoublePrecision) {
  if (!__builtin_cpu_supports("avx512f")) GTEST_SKIP() << "no AVX-512 here";
  expect_products<float>(avx512_multiply);
  if (!has_bf16_products()) GTEST_SKIP() << "no AVX-512 BF16 here";
  expect_products<Bf16Pair>(avx512_multiply);
}

TEST(Panel, AmxProductsAreThoseInDoublePrecision) {
  if (!has_amx()) GTEST_SKIP() << "no AMX here";
  expect_products<Bf16Pair>(amx_multiply);
}

// Whatever stands beside it, and wherever its units are cut in eights.
TEST(Panel, ARowOfAmxProductsHangsOnItsOwnNumbersOnly) {
  if (!has_amx()) GTEST_SKIP() << "no AMX here";
  Rng rng(4);
  constexpr int64_t kRows = 37, kColumns = 80, kUnits = 45;
  static_assert(kAmxUnits == 8);
  const auto left = draw<Bf16Pair>(rng, kRows * kUnits),
             right = draw<Bf16Pair>(rng, kUnits * kColumns);
  std::vector<float> all(kRows * kColumns);
  amx_multiply({left.data(), kUnits, 1}, {right.data(), kColumns}, {kRows, kColumns, kUnits},
               all.data(), kColumns, false);
  for (int64_t i = 0; i < kRows; ++i) {
    for (const int64_t cut : {0, 8, 24, 40}) {
      std::vector<float> alone(kColumns);
      amx_multiply({left.data() + i * kUnits, kUnits, 1}, {right.data(), kColumns},
                   {1, kColumns, cut}, alone.data(), kColumns, false);
      amx_multiply({left.data() + i * kUnits + cut, kUnits, 1},
                   {right.data() + cut * kColumns, kColumns}, {1, kColumns, kUnits - cut},
                   alone.data(), kColumns, true);
      for (int64_t j = 0; j < kColumns; ++j) {
        ASSERT_EQ(alone[static_cast<size_t>(j)], all[static_cast<size_t>(i * kColumns + j)]);
      }
    }
  }
}

}  // namespace
}  // namespace l2a
