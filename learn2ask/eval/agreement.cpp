#include "eval/agreement.h"

#include <algorithm>
#include <map>
#include <string_view>
#include <tuple>

#include <fmt/format.h>

#include "base/error.h"

namespace l2a {
namespace {

size_t class_of(const ScoredRow& row) {
  return verdict_class(row.parts ? std::optional(row.parts->micro) : std::nullopt);
}

// Whether the reply's R_a was up to the grader and counts in WA.
bool is_graded(const ScoredRow& row) {
  return row.truth == Decision::kContinue && row.wanted > 0 && row.action &&
         row.action->decision == Decision::kContinue && row.questions > 0;
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
    if (is_graded(first)) ++table[class_of(first)][class_of(second)];
  }
}

void measure_tables(Agreement& agreement, const SessionTables& sessions,
                    const BootstrapOptions& options) {
  std::vector<ConfusionTable> tables;
  for (const auto& [id, table] : sessions) {
    tables.push_back(table);
    add(agreement.table, table);
  }
  using Statistic = std::optional<double> (*)(const ConfusionTable&);
  std::tie(agreement.rate, agreement.kappa, agreement.linear) = std::tuple_cat(
      estimate_sums(std::span<const ConfusionTable>(tables), ConfusionTable{}, add,
                    std::array<Statistic, 3>{agreement_rate, cohen_kappa, linear_kappa},
                    scored_in(agreement.table), options));
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
