#include "reward/confusion.h"

#include <cmath>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "base/rng.h"

namespace l2a {
namespace {

// Of 3 x 3 scored replies.
ConfusionTable table_of(const std::array<std::array<size_t, 3>, 3>& grades) {
  ConfusionTable table{};
  for (size_t i = 0; i < 3; ++i) {
    for (size_t j = 0; j < 3; ++j) table[i][j] = grades[i][j];
  }
  return table;
}

// The mean distance of a's grade and b's, over the replies themselves and over every grade of a
// with every grade of b: kappa without marginals.
struct Literal {
  std::vector<std::pair<double, double>> replies;

  explicit Literal(const ConfusionTable& table) {
    for (size_t i = 0; i < 3; ++i) {
      for (size_t j = 0; j < 3; ++j) {
        for (size_t k = 0; k < table[i][j]; ++k) {
          replies.emplace_back(0.5 * static_cast<double>(i), 0.5 * static_cast<double>(j));
        }
      }
    }
  }
  template <class Distance>
  double kappa(Distance distance) const {
    double observed = 0, crossed = 0;
    for (const auto& [a, unused] : replies) {
      for (const auto& [unused_too, b] : replies) crossed += distance(a, b);
    }
    for (const auto& [a, b] : replies) observed += distance(a, b);
    return 1 - observed / (crossed / static_cast<double>(replies.size()));
  }
};

TEST(Kappa, IsWhatTheTextbookExampleSays) {
  // Two raters, yes or no: 20, 5, 10, 15 of 50. p_o = 0.7, p_e = 0.5, kappa = 0.4.
  const auto table = table_of({{{20, 0, 5}, {0, 0, 0}, {10, 0, 15}}});
  EXPECT_DOUBLE_EQ(*agreement_rate(table), 0.7);
  EXPECT_DOUBLE_EQ(*cohen_kappa(table), 0.4);
  EXPECT_DOUBLE_EQ(*linear_kappa(table), 0.4);  // two classes: weights change nothing
}

TEST(Kappa, WeighsNeighboursAsHalfADisagreement) {
  // By hand: marginals 6, 4, 10 and 7, 4, 9 of 20; p_o = 15/20, p_e = (42 + 16 + 90)/400 = 0.37.
  // Linear: observed 4 x 0.5 + 1 = 3; expected 0.5 (24+28+36+40)/20 + (54+70)/20 = 9.4.
  const auto table = table_of({{{5, 1, 0}, {1, 2, 1}, {1, 1, 8}}});
  EXPECT_NEAR(*cohen_kappa(table), (0.75 - 0.37) / 0.63, 1e-12);
  EXPECT_NEAR(*linear_kappa(table), 1 - 3.0 / 9.4, 1e-12);
}

TEST(Kappa, IsThatOfTheRepliesOneByOne) {
  Rng rng(3);
  for (int round = 0; round < 200; ++round) {
    ConfusionTable table{};
    for (auto& row : table) {
      for (size_t& count : row) count = rng.below(6);
    }
    table[0][1] += 1, table[1][0] += 1;  // two grades at least
    const Literal literal(table);
    EXPECT_NEAR(*cohen_kappa(table), literal.kappa([](double a, double b) { return a != b; }),
                1e-12);
    EXPECT_NEAR(*linear_kappa(table),
                literal.kappa([](double a, double b) { return std::abs(a - b); }), 1e-12);
  }
}

TEST(Kappa, IsUndefinedWhereItSaysNothing) {
  const auto none = table_of({});
  EXPECT_FALSE(agreement_rate(none));
  EXPECT_FALSE(cohen_kappa(none));
  EXPECT_FALSE(linear_kappa(none));
  for (size_t grade = 0; grade < 3; ++grade) {
    ConfusionTable table{};
    table[grade][grade] = 7;
    EXPECT_EQ(agreement_rate(table), 1.0);
    EXPECT_FALSE(cohen_kappa(table)) << grade;
    EXPECT_FALSE(linear_kappa(table)) << grade;
  }
}

TEST(Kappa, IsZeroWhereOneGraderAlwaysSaysTheSame) {
  const auto table = table_of({{{4, 3, 2}, {0, 0, 0}, {0, 0, 0}}});
  EXPECT_NEAR(*cohen_kappa(table), 0, 1e-12);
  EXPECT_NEAR(*linear_kappa(table), 0, 1e-12);
}

TEST(Kappa, LeavesUnscoredRepliesOut) {
  auto table = table_of({{{20, 0, 5}, {0, 0, 0}, {10, 0, 15}}});
  table[3] = {9, 8, 7, 6};
  table[0][3] = 5;
  EXPECT_DOUBLE_EQ(*cohen_kappa(table), 0.4);
  EXPECT_EQ(scored_in(table), 50u);
}

}  // namespace
}  // namespace l2a
