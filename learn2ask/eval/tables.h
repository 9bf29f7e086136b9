// Metric tables for people (terminal, Markdown) and programs (JSON). Pure functions.
//
// Numbers stand side by side only when they were measured alike: policies are grouped by
// grader, split, decoding and scoring, one table a group, and the caption says all of it.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "base/json.h"
#include "eval/metrics.h"

namespace l2a {

// One line of a table.
struct Summary {
  EvaluationFacts facts;
  RowCounts counts;
  MetricTable metrics;
};
Summary summarise(const Evaluation& evaluation, const BootstrapOptions& options = {});

// The columns of the first table, and of the second one beneath it.
std::span<const Metric> headline_metrics();
std::span<const Metric> detail_metrics();

// Summaries that were measured alike, in their order. Pointers into the argument.
struct TableGroup {
  std::string caption;  // grader, split, counts, decoding, scoring, prompt hashes
  std::vector<const Summary*> rows;
  std::vector<std::string> notes;  // what must stand under the table to read it rightly

  // Whether the row's value, as printed, is the best of the group's models and some model's is
  // worse. Baselines and the expert are no competitors.
  bool is_best(const Summary& row, Metric metric) const;
};
std::vector<TableGroup> group_summaries(std::span<const Summary> summaries);

// "0.496", "3.078"; "-" for an undefined metric. The interval: "0.45-0.53".
std::string value_text(const std::optional<Estimate>& estimate);
std::string interval_text(const std::optional<Estimate>& estimate);

// Aligned, at most 120 columns, * behind the best.
std::string tables_to_text(std::span<const Summary> summaries);
// Cells "0.496 [0.45-0.53]", the best in bold.
std::string tables_to_markdown(std::span<const Summary> summaries);
// One object a policy: facts, counts, and for each metric value, low, high, count (or null).
Json tables_to_json(std::span<const Summary> summaries);

// "reward: GRPO 2.91, SFT 2.60, difference +0.31 [+0.22, +0.40], above 0 in 99.9% of resamples"
std::string comparison_text(const PairedDifference& comparison, const std::string& a,
                            const std::string& b);
Json to_json(const PairedDifference& comparison);

}  // namespace l2a
