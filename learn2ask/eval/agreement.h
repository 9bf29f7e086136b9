// How far two graders agree on the same replies of policies: their verdicts against each other, and
// Cohen's kappa. Pure functions; docs/metrics.md has the equation, agreement_tables.h the tables.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/bootstrap.h"
#include "eval/scored_row.h"
#include "reward/confusion.h"

namespace l2a {

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
// continued, asking something, where something was left to ask. Baselines and the expert do not
// count. Throws Failure (kInvalidInput) when two graders did not grade the same replies of a
// policy, naming the first.
std::vector<Agreement> measure_agreement(std::span<const Evaluation> evaluations,
                                         const BootstrapOptions& options = {});

}  // namespace l2a
