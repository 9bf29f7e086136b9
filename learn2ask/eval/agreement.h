// How far two graders agree on the same replies: their verdicts against each other, and Cohen's
// kappa. Pure functions; docs/metrics.md has the equation, agreement_tables.h the tables.
#pragma once

#include <array>
#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/bootstrap.h"
#include "eval/scored_row.h"

namespace l2a {

// Of one grader about one reply: R_a = 0, between 0 and 1, R_a = 1, or no grade.
inline constexpr std::array kVerdictClasses = {"0", "0.5", "1", "unscored"};
inline constexpr size_t kGrades = 3;  // the first three: those on the scale

// Replies by the verdict of the one grader (first index) and of the other.
using ConfusionTable =
    std::array<std::array<size_t, kVerdictClasses.size()>, kVerdictClasses.size()>;

size_t replies_in(const ConfusionTable& table);  // unscored ones included
size_t scored_in(const ConfusionTable& table);   // by both graders

// All over the replies that both graders scored; nullopt: undefined.
std::optional<double> agreement_rate(const ConfusionTable& table);  // share of equal verdicts
// Cohen's kappa: 1 - (disagreement) / (disagreement expected of independent graders with these
// marginals). Undefined, which is not 0, when both gave one and the same grade throughout.
std::optional<double> cohen_kappa(const ConfusionTable& table);
// The same with a disagreement as large as the distance of the two grades.
// Source: Cohen, Psychological Bulletin 70 (1968) 213-220.
std::optional<double> linear_kappa(const ConfusionTable& table);

// Two graders on the replies of one policy, or of several together.
struct Agreement {
  std::string a, b;  // the graders; `a` stands in the first index of the table
  std::string split;
  std::vector<std::string> policies;
  ConfusionTable table{};
  std::optional<Estimate> rate, kappa, linear;  // intervals by session
};

// For each pair of graders, in the order in which they come: all models together, then each model
// where there are several. Of their replies count those that were up to the graders in WA: rightly
// continued, asking something, where something was left to ask. Constants and the expert do not
// count. Throws Failure (kInvalidInput) when two graders did not grade the same replies of a
// policy, naming the first.
std::vector<Agreement> measure_agreement(std::span<const Evaluation> evaluations,
                                         const BootstrapOptions& options = {});

}  // namespace l2a
