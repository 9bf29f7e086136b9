// Two judges' verdicts on the same replies against each other, and Cohen's kappa. Pure functions;
// docs/metrics.md has the equation.
#pragma once

#include <array>
#include <cstddef>
#include <optional>

namespace l2a {

// Of one grader about one reply: R_a = 0, between 0 and 1, R_a = 1, or no grade.
inline constexpr std::array kVerdictClasses = {"0", "0.5", "1", "unscored"};
inline constexpr size_t kGrades = 3;                         // the first three: those on the scale
size_t verdict_class(const std::optional<double>& content);  // an index of kVerdictClasses

// Replies by the verdict of the one grader (first index) and of the other.
using ConfusionTable =
    std::array<std::array<size_t, kVerdictClasses.size()>, kVerdictClasses.size()>;

void add(ConfusionTable& sum, const ConfusionTable& table);
size_t scored_in(const ConfusionTable& table);  // by both graders

// All over the replies that both graders scored; nullopt: undefined.
std::optional<double> agreement_rate(const ConfusionTable& table);  // share of equal verdicts
// Cohen's kappa: 1 - (disagreement) / (disagreement expected of independent graders with these
// marginals). Undefined, which is not 0, when both gave one and the same grade throughout.
std::optional<double> cohen_kappa(const ConfusionTable& table);
// The same with a disagreement as large as the distance of the two grades.
// Source: Cohen, Psychological Bulletin 70 (1968) 213-220.
std::optional<double> linear_kappa(const ConfusionTable& table);

}  // namespace l2a
