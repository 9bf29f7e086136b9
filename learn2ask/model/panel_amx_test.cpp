#include "model/panel_amx.h"

#include <cmath>
#include <vector>

#include <gtest/gtest.h>

#include "base/rng.h"

namespace l2a {
namespace {

using Multiply = void (*)(const LeftPanel<Bf16Pair>&, const RightPanel<Bf16Pair>&,
                          const PanelShape&, float*, int64_t, bool);

std::vector<Bf16Pair> draw(Rng& rng, int64_t count) {
  std::vector<Bf16Pair> pairs(static_cast<size_t>(count));
  for (Bf16Pair& pair : pairs) {
    narrow(static_cast<float>(rng.uniform() - 0.5), pair.first);
    narrow(static_cast<float>(rng.uniform() - 0.5), pair.second);
  }
  return pairs;
}

// Shapes with and without whole tiles, the left operand along its rows and across.
void expect_products(Multiply multiply) {
  Rng rng(3);
  for (int trial = 0; trial < 300; ++trial) {
    const auto rows = static_cast<int64_t>(rng.below(40)) + 1;
    const auto columns = 16 * static_cast<int64_t>(rng.below(9));
    const auto units = static_cast<int64_t>(rng.below(50));
    const bool across = rng.chance(0.5), add = rng.chance(0.5);
    const int64_t out_row = columns + 3, right_row = columns + 5;
    const int64_t left_row = across ? 1 : units + 2, left_unit = across ? rows + 7 : 1;
    const auto left = draw(rng, (rows + 7) * (units + 2)),
               right = draw(rng, right_row * (units + 1));
    std::vector<float> out(static_cast<size_t>(rows * out_row), 0.25f);
    multiply({left.data(), left_row, left_unit}, {right.data(), right_row}, {rows, columns, units},
             out.data(), out_row, add);
    for (int64_t i = 0; i < rows; ++i) {
      for (int64_t j = 0; j < columns; ++j) {
        double sum = add ? 0.25 : 0, size = 1;
        for (int64_t u = 0; u < units; ++u) {
          const Bf16Pair a = left[static_cast<size_t>(i * left_row + u * left_unit)];
          const Bf16Pair b = right[static_cast<size_t>(u * right_row + j)];
          const double first = static_cast<double>(widen(a.first)) * widen(b.first);
          const double second = static_cast<double>(widen(a.second)) * widen(b.second);
          sum += first + second;
          size += std::abs(first) + std::abs(second);
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

TEST(Panel, Avx512ProductsAreThoseInDoublePrecision) {
  if (!has_bf16_products()) GTEST_SKIP() << "no AVX-512 BF16 here";
  expect_products(avx512_multiply);
}

TEST(Panel, AmxProductsAreThoseInDoublePrecision) {
  if (!has_amx()) GTEST_SKIP() << "no AMX here";
  expect_products(amx_multiply);
}

// Whatever stands beside it, and wherever its units are cut in eights.
TEST(Panel, ARowOfAmxProductsHangsOnItsOwnNumbersOnly) {
  if (!has_amx()) GTEST_SKIP() << "no AMX here";
  Rng rng(4);
  constexpr int64_t kRows = 37, kColumns = 80, kUnits = 45;
  static_assert(kAmxUnits == 8);
  const auto left = draw(rng, kRows * kUnits), right = draw(rng, kUnits * kColumns);
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
