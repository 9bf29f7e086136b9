#include "reward/confusion.h"

namespace l2a {
namespace {

// 1 - sum of weight * observed / sum of weight * expected, over the grades.
template <class Weight>
std::optional<double> weighted_kappa(const ConfusionTable& table, const Weight& weight) {
  std::array<double, kGrades> of_a{}, of_b{};
  for (size_t i = 0; i < kGrades; ++i) {
    for (size_t j = 0; j < kGrades; ++j) {
      of_a[i] += static_cast<double>(table[i][j]);
      of_b[j] += static_cast<double>(table[i][j]);
    }
  }
  const auto n = static_cast<double>(scored_in(table));
  double observed = 0, expected = 0;  // n times the disagreements
  for (size_t i = 0; i < kGrades; ++i) {
    for (size_t j = 0; j < kGrades; ++j) {
      observed += weight(i, j) * static_cast<double>(table[i][j]);
      expected += weight(i, j) * of_a[i] * of_b[j] / n;
    }
  }
  // Not above 0 only when both marginals lie on one grade (or, by n = 0, nowhere).
  if (!(expected > 0)) return std::nullopt;
  return 1 - observed / expected;
}

}  // namespace

size_t verdict_class(const std::optional<double>& content) {
  if (!content) return kGrades;
  if (*content == 0) return 0;
  return *content == 1 ? 2 : 1;
}

void add(ConfusionTable& sum, const ConfusionTable& table) {
  for (size_t i = 0; i < table.size(); ++i) {
    for (size_t j = 0; j < table.size(); ++j) sum[i][j] += table[i][j];
  }
}

size_t scored_in(const ConfusionTable& table) {
  size_t scored = 0;
  for (size_t i = 0; i < kGrades; ++i) {
    for (size_t j = 0; j < kGrades; ++j) scored += table[i][j];
  }
  return scored;
}

std::optional<double> agreement_rate(const ConfusionTable& table) {
  const size_t scored = scored_in(table);
  if (scored == 0) return std::nullopt;
  size_t equal = 0;
  for (size_t i = 0; i < kGrades; ++i) equal += table[i][i];
  return static_cast<double>(equal) / static_cast<double>(scored);
}

std::optional<double> cohen_kappa(const ConfusionTable& table) {
  return weighted_kappa(table, [](size_t i, size_t j) { return i == j ? 0.0 : 1.0; });
}

std::optional<double> linear_kappa(const ConfusionTable& table) {
  // Grades are 0.5 apart; the unit cancels.
  return weighted_kappa(
      table, [](size_t i, size_t j) { return static_cast<double>(i > j ? i - j : j - i); });
}

}  // namespace l2a
