// The metrics of DESIGN.md section 1 over scored replies, their bootstrap intervals, and the
// paired comparison of two policies. Pure functions; docs/metrics.md has every definition.
//
// Every metric is made of ratios of sums over sessions, so a resample of sessions costs one
// addition per session and ratio.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "base/bootstrap.h"
#include "base/error.h"
#include "eval/scored_row.h"

namespace l2a {

enum class Metric {
  kWa,        // mean R_a over continue samples with non-empty I*
  kWaGh,      // share of them with R_a = 1
  kWaInform,  // both over their inform contexts alone
  kWaGhInform,
  kCr,                  // share of continue samples continued
  kTr,                  // share of stop samples stopped
  kAccuracy,            // of the decision, over all samples
  kBalancedAccuracy,    // (CR + TR) / 2
  kFormat,              // mean P over the samples of kWa and the stop samples
  kFormatPublished,     // re-weighted to the published class balance
  kReward,              // mean fused reward over the same samples
  kRewardPublished,     // re-weighted
  kMalformed,           // share of replies without a decision
  kNoQuestion,          // share of continue replies that ask nothing
  kRepeated,            // share of continue replies that repeat a question of the context
  kQuestionsPerSession  // questions in continue replies, a session
};
inline constexpr size_t kMetricCount = 16;

// Share of continue samples in the published test set (RealMedConv, arXiv 2510.25441), which
// the published means of reward and format rest on.
inline constexpr double kPublishedContinueShare = 0.472;

enum class Better { kHigher, kLower, kNeither };

struct MetricInfo {
  Metric metric;
  const char* key;      // in JSON, e.g. "wa_gh"
  const char* label;    // e.g. "Questions a session"
  const char* column;   // the same in at most 10 characters, for table heads
  const char* meaning;  // one line for people
  Better better;
};
const std::array<MetricInfo, kMetricCount>& metric_infos();  // in the order of Metric
const MetricInfo& metric_info(Metric metric);

// nullopt: undefined, since no sample qualifies. The count is of the replies that a metric is a
// mean over (sessions for kQuestionsPerSession).
using MetricTable = std::array<std::optional<Estimate>, kMetricCount>;

// Deterministic for the same rows, whatever their order.
MetricTable measure(std::span<const ScoredRow> rows, const BootstrapOptions& options = {});

// How many rows stand behind a table.
struct RowCounts {
  size_t sessions = 0, replies = 0;
  size_t continue_rows = 0, stop_rows = 0;
  size_t inform_rows = 0;   // of the continue rows
  size_t empty_rows = 0;    // continue rows with empty I*: in CR and accuracy only
  size_t unscored = 0;      // left out of WA, format and reward
  size_t unrecognised = 0;  // graded 0 because the grader could not tell what they ask for
  size_t cut_contexts = 0;  // replies to a context without its oldest turns
};
// Whether its reward hangs on a grader: it goes on where the expert did, and asks.
bool needs_grade(const ScoredRow& row);
// Its grader failed. A continue sample with empty I* is no failure: it has no grade by definition.
bool is_unscored(const ScoredRow& row);
RowCounts count_rows(std::span<const ScoredRow> rows);

// a - b, resampling the sessions of both together.
struct PairedDifference {
  Metric metric = Metric::kReward;
  double a = 0, b = 0;
  double difference = 0, low = 0, high = 0;  // 95% percentile interval
  double share_above_zero = 0;               // of the resamples; exact ties are not above
};

// kInvalidInput when the two do not answer the same samples of the same sessions (naming the
// first that is missing), or the metric is undefined for one of them.
Result<PairedDifference> compare(const Evaluation& a, const Evaluation& b, Metric metric,
                                 const BootstrapOptions& options = {});

}  // namespace l2a
