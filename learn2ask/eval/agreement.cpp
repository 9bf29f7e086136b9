#include "eval/agreement.h"

#include <algorithm>
#include <map>
#include <string_view>

#include <fmt/format.h>

#include "base/error.h"

namespace l2a {
namespace {

constexpr size_t kUnscored = kGrades;

size_t verdict_class(const ScoredRow& row) {
  if (!row.parts) return kUnscored;
  if (row.parts->micro == 0) return 0;
  return row.parts->micro == 1 ? 2 : 1;
}

// Whether the reply's R_a was up to the grader and counts in WA.
bool is_graded(const ScoredRow& row) {
  return row.truth == Decision::kContinue && row.wanted > 0 && row.action &&
         row.action->decision == Decision::kContinue && row.questions > 0;
}

void add(ConfusionTable& sum, const ConfusionTable& table) {
  for (size_t i = 0; i < table.size(); ++i) {
    for (size_t j = 0; j < table.size(); ++j) sum[i][j] += table[i][j];
  }
}

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

// One table a session, in the order of session ids. Sessions without a graded reply are drawn too.
using SessionTables = std::map<std::string_view, ConfusionTable>;

[[noreturn]] void refuse(const Evaluation& a, const Evaluation& b, const std::string& where) {
  fail_input(fmt::format(
      "agreement: {}: '{}' and '{}' did not grade the same reply of '{}' (evaluate with both "
      "graders at once)",
      where, a.facts.grader, b.facts.grader, a.facts.policy));
}

void add_replies(SessionTables& tables, const Evaluation& a, const Evaluation& b) {
  for (size_t i = 0; i < std::max(a.rows.size(), b.rows.size()); ++i) {
    const ScoredRow& first = i < a.rows.size() ? a.rows[i] : b.rows[i];
    const auto where = fmt::format("{}/{}", first.session, first.turn);
    if (i >= a.rows.size() || i >= b.rows.size()) refuse(a, b, where);
    const ScoredRow& second = b.rows[i];
    if (first.session != second.session || first.turn != second.turn ||
        first.reply_index != second.reply_index || first.reply.text != second.reply.text) {
      refuse(a, b, where);
    }
    ConfusionTable& table = tables[first.session];
    if (is_graded(first)) ++table[verdict_class(first)][verdict_class(second)];
  }
}

std::optional<Estimate> estimate(std::optional<double> value, std::vector<double>& resampled,
                                 size_t count) {
  if (!value) return std::nullopt;
  const Interval interval = interval_95(resampled, *value);
  return Estimate{*value, interval.low, interval.high, count};
}

void measure_tables(Agreement& agreement, const SessionTables& sessions,
                    const BootstrapOptions& options) {
  constexpr std::array kStatistics = {agreement_rate, cohen_kappa, linear_kappa};
  std::vector<ConfusionTable> tables;
  for (const auto& [id, table] : sessions) {
    tables.push_back(table);
    add(agreement.table, table);
  }
  std::array<std::vector<double>, kStatistics.size()> resampled;
  resample(tables.size(), options, [&](const std::vector<size_t>& drawn) {
    ConfusionTable sum{};
    for (const size_t index : drawn) add(sum, tables[index]);
    for (size_t s = 0; s < kStatistics.size(); ++s) {
      if (const auto value = kStatistics[s](sum)) resampled[s].push_back(*value);
    }
  });
  const size_t count = scored_in(agreement.table);
  std::optional<Estimate>* const estimates[] = {&agreement.rate, &agreement.kappa,
                                                &agreement.linear};
  for (size_t s = 0; s < kStatistics.size(); ++s) {
    *estimates[s] = estimate(kStatistics[s](agreement.table), resampled[s], count);
  }
}

// One policy under both graders of a pair.
struct Pair {
  const Evaluation* a;
  const Evaluation* b;
};

Agreement agreement_of(std::span<const Pair> policies, const BootstrapOptions& options) {
  const EvaluationFacts& facts = policies.front().a->facts;
  Agreement agreement;
  agreement.a = facts.grader;
  agreement.b = policies.front().b->facts.grader;
  agreement.split = facts.split;
  SessionTables sessions;
  for (const Pair& policy : policies) {
    agreement.policies.push_back(policy.a->facts.policy);
    add_replies(sessions, *policy.a, *policy.b);
  }
  measure_tables(agreement, sessions, options);
  return agreement;
}

std::vector<Pair> pairs_of(std::span<const Evaluation> evaluations, const std::string& a,
                           const std::string& b) {
  std::vector<Pair> pairs;
  for (const Evaluation& first : evaluations) {
    if (first.facts.role != PolicyRole::kModel || first.facts.grader != a) continue;
    for (const Evaluation& second : evaluations) {
      if (second.facts.grader != b || second.facts.policy != first.facts.policy) continue;
      pairs.push_back({&first, &second});
    }
  }
  return pairs;
}

}  // namespace

size_t replies_in(const ConfusionTable& table) {
  size_t replies = 0;
  for (const auto& row : table) {
    for (const size_t count : row) replies += count;
  }
  return replies;
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

std::vector<Agreement> measure_agreement(std::span<const Evaluation> evaluations,
                                         const BootstrapOptions& options) {
  std::vector<std::string> graders;
  for (const Evaluation& evaluation : evaluations) {
    const std::string& name = evaluation.facts.grader;
    if (std::find(graders.begin(), graders.end(), name) == graders.end()) graders.push_back(name);
  }
  std::vector<Agreement> agreements;
  for (size_t i = 0; i < graders.size(); ++i) {
    for (size_t j = i + 1; j < graders.size(); ++j) {
      const std::vector<Pair> pairs = pairs_of(evaluations, graders[i], graders[j]);
      if (pairs.empty()) continue;
      agreements.push_back(agreement_of(pairs, options));
      if (pairs.size() == 1) continue;
      for (const Pair& pair : pairs) {
        agreements.push_back(agreement_of(std::span(&pair, 1), options));
      }
    }
  }
  return agreements;
}

}  // namespace l2a
