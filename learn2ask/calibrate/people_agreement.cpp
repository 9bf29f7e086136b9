#include "calibrate/people_agreement.h"

#include <algorithm>
#include <tuple>

#include "base/error.h"
#include "calibrate/krippendorff.h"

namespace l2a {
namespace {

template <class Sum>
using BySession = std::map<std::string, Sum>;  // in one order, whatever the items'

template <class Sum>
std::vector<Sum> parts_of(const BySession<Sum>& sessions) {
  std::vector<Sum> parts;
  for (const auto& [session, part] : sessions) parts.push_back(part);
  return parts;
}

// Of one statistic, of sums that can add().
template <class Sum>
std::optional<Estimate> estimate(const BySession<Sum>& sessions, const Sum& nothing, size_t count,
                                 const BootstrapOptions& options,
                                 std::optional<double> (*statistic)(const Sum&)) {
  const auto parts = parts_of(sessions);
  return estimate_sums(
      std::span<const Sum>(parts), nothing, [](Sum& sum, const Sum& part) { sum.add(part); },
      std::array{statistic}, count, options)[0];
}

std::optional<double> alpha_of(const ConfusionTable& table) {
  Coincidences coincidences(kGrades);
  for (size_t i = 0; i < kGrades; ++i) {
    for (size_t j = 0; j < kGrades; ++j) {
      const size_t pair[] = {i, j};
      for (size_t n = 0; n < table[i][j]; ++n) coincidences.add_item(pair);
    }
  }
  return coincidences.ordinal_alpha();
}

// Over items that it was asked about more than once and answered at least twice.
void measure_spread(JudgeAgreement& agreement, const std::vector<std::vector<Verdict>>& verdicts) {
  size_t repeated = 0, changed = 0;
  double sum = 0;
  for (const std::vector<Verdict>& of_item : verdicts) {
    const auto spread = spread_of(of_item);
    if (!spread) continue;
    ++repeated;
    changed += *spread > 0;
    sum += *spread;
  }
  if (repeated == 0) return;
  agreement.changed = static_cast<double>(changed) / static_cast<double>(repeated);
  agreement.spread = sum / static_cast<double>(repeated);
}

void measure_graders(AgreementReport& report, std::span<const CalibrationItem> items,
                     const GoldLabels& labels, const VerdictsByGrader& verdicts,
                     const BootstrapOptions& options) {
  for (const auto& [grader, of_items] : verdicts) {
    check(of_items.size() == items.size(), "measure_people_agreement: verdicts on each item");
    std::vector<VerdictPair> pairs;
    for (size_t i = 0; i < items.size(); ++i) {
      const auto gold = labels.grade_of(items[i].id);
      if (!gold || of_items[i].empty()) continue;
      pairs.push_back({items[i].session(), gold, of_items[i].front()});
    }
    JudgeAgreement agreement = measure_judges("people", grader, pairs, options);
    measure_spread(agreement, of_items);
    report.graders.push_back(std::move(agreement));
  }
}

Verdict grade_by(const GoldLabel& label) { return label.grade; }
double as_verdict(Decision decision) { return decision == Decision::kStop ? 1 : 0; }
Verdict decision_by(const GoldLabel& label) {
  return label.decision ? Verdict(as_verdict(*label.decision)) : std::nullopt;
}

using Pair = std::pair<const std::string&, const std::string&>;

std::vector<Pair> each_two(const std::vector<std::string>& people) {
  std::vector<Pair> pairs;
  for (size_t i = 0; i < people.size(); ++i) {
    for (size_t j = i + 1; j < people.size(); ++j) pairs.emplace_back(people[i], people[j]);
  }
  return pairs;
}

// Each two of `people` who gave a verdict on the same items.
std::vector<JudgeAgreement> measure_each_two(const std::vector<std::string>& people,
                                             std::span<const CalibrationItem> items,
                                             const GoldLabels& labels,
                                             Verdict (*verdict_by)(const GoldLabel&),
                                             const BootstrapOptions& options) {
  const auto given = [&](const CalibrationItem& item, const std::string& name) {
    const GoldLabel* label = labels.find(item.id, name);
    return label != nullptr ? verdict_by(*label) : std::nullopt;
  };
  std::vector<JudgeAgreement> agreements;
  for (const auto& [first, second] : each_two(people)) {
    std::vector<VerdictPair> pairs;
    for (const CalibrationItem& item : items) {
      const auto a = given(item, first), b = given(item, second);
      if (a && b) pairs.push_back({item.session(), a, b});
    }
    if (!pairs.empty()) agreements.push_back(measure_judges(first, second, pairs, options));
  }
  return agreements;
}

void measure_people(AgreementReport& report, std::span<const CalibrationItem> items,
                    const GoldLabels& labels, const BootstrapOptions& options) {
  report.between_people = measure_each_two(report.people, items, labels, grade_by, options);
  if (report.between_people.empty()) return;
  const Coincidences nothing(kGrades);
  BySession<Coincidences> sessions;
  size_t count = 0;
  for (const CalibrationItem& item : items) {
    std::vector<size_t> classes;
    for (const GoldLabel* label : labels.of(item.id)) {
      if (label->grade) classes.push_back(verdict_class(label->grade));
    }
    if (classes.size() < 2) continue;
    ++count;
    sessions.try_emplace(item.session(), nothing).first->second.add_item(classes);
  }
  report.people_alpha =
      estimate<Coincidences>(sessions, nothing, count, options,
                             [](const Coincidences& sum) { return sum.ordinal_alpha(); });
}

std::optional<Estimate> f1_of(const BySession<ClaimCounts>& sessions, size_t items,
                              const BootstrapOptions& options) {
  return estimate<ClaimCounts>(sessions, {}, items, options,
                               [](const ClaimCounts& sum) { return sum.f1(); });
}

void measure_claims(AgreementReport& report, std::span<const CalibrationItem> items,
                    const GoldLabels& labels, const BootstrapOptions& options) {
  BySession<ClaimCounts> sessions;
  for (const CalibrationItem& item : items) {
    if (item.kind != ItemKind::kExtract) continue;
    std::vector<SaidRange> claims;
    for (const Claim& claim : item.claims) claims.push_back(claim.said);
    bool judged = false;
    for (const GoldLabel* label : labels.of(item.id)) {
      const auto truth = said_according_to(*label, item);
      if (!truth) continue;
      judged = true;
      const ClaimCounts counts = count_claims(claims, *truth);
      report.claims.add(counts);
      sessions[item.session()].add(counts);
    }
    report.extract_items += judged;
  }
  report.claims_f1 = f1_of(sessions, report.extract_items, options);
}

void measure_claims_of_people(AgreementReport& report, std::span<const CalibrationItem> items,
                              const GoldLabels& labels, const BootstrapOptions& options) {
  const auto said_by = [&](const CalibrationItem& item, const std::string& name) {
    const GoldLabel* label = labels.find(item.id, name);
    return label != nullptr ? said_according_to(*label, item) : std::nullopt;
  };
  for (const auto& [first, second] : each_two(report.people)) {
    ClaimAgreement agreement{.a = first, .b = second};
    BySession<ClaimCounts> sessions;
    for (const CalibrationItem& item : items) {
      if (item.kind != ItemKind::kExtract) continue;
      const auto a = said_by(item, first), b = said_by(item, second);
      if (!a || !b) continue;
      ++agreement.items;
      const ClaimCounts counts = count_claims(*a, *b);
      agreement.counts.add(counts);
      sessions[item.session()].add(counts);
    }
    if (agreement.items == 0) continue;
    agreement.f1 = f1_of(sessions, agreement.items, options);
    report.claims_between_people.push_back(std::move(agreement));
  }
}

void measure_stops(AgreementReport& report, std::span<const CalibrationItem> items,
                   const GoldLabels& labels, const BootstrapOptions& options) {
  std::vector<VerdictPair> pairs;
  for (const CalibrationItem& item : items) {
    const auto decision = labels.decision_of(item.id);
    if (!decision || !item.decision) continue;
    pairs.push_back({item.session(), as_verdict(*decision), as_verdict(*item.decision)});
  }
  report.stops = measure_judges("people", "labels", pairs, options);
  report.stops_between_people =
      measure_each_two(report.people, items, labels, decision_by, options);
}

std::optional<double> share(size_t part, size_t whole) {
  if (whole == 0) return std::nullopt;
  return static_cast<double>(part) / static_cast<double>(whole);
}

}  // namespace

std::optional<double> spread_of(std::span<const Verdict> verdicts) {
  std::vector<double> given;
  for (const Verdict& verdict : verdicts) {
    if (verdict) given.push_back(*verdict);
  }
  if (given.size() < 2) return std::nullopt;
  const auto [low, high] = std::minmax_element(given.begin(), given.end());
  return *high - *low;
}

JudgeAgreement measure_judges(std::string a, std::string b, std::span<const VerdictPair> pairs,
                              const BootstrapOptions& options) {
  JudgeAgreement agreement{.a = std::move(a), .b = std::move(b)};
  BySession<ConfusionTable> sessions;
  for (const VerdictPair& pair : pairs) {
    ++sessions[pair.session][verdict_class(pair.a)][verdict_class(pair.b)];
  }
  const auto tables = parts_of(sessions);
  for (const ConfusionTable& table : tables) add(agreement.table, table);
  using Statistic = std::optional<double> (*)(const ConfusionTable&);
  std::tie(agreement.rate, agreement.linear_kappa, agreement.alpha) =
      std::tuple_cat(estimate_sums(std::span<const ConfusionTable>(tables), ConfusionTable{}, add,
                                   std::array<Statistic, 3>{agreement_rate, linear_kappa, alpha_of},
                                   scored_in(agreement.table), options));
  return agreement;
}

void ClaimCounts::add(const ClaimCounts& other) {
  right += other.right;
  wrong += other.wrong;
  missed += other.missed;
}
std::optional<double> ClaimCounts::precision() const { return share(right, right + wrong); }
std::optional<double> ClaimCounts::recall() const { return share(right, right + missed); }
std::optional<double> ClaimCounts::f1() const {
  return share(2 * right, 2 * right + wrong + missed);
}

ClaimCounts count_claims(std::span<const SaidRange> claims, std::span<const SaidRange> truth) {
  std::vector<bool> found(truth.size());
  ClaimCounts counts;
  for (const SaidRange& claim : claims) {
    size_t at = 0;
    while (at < truth.size() && (found[at] || !overlap(claim, truth[at]))) ++at;
    if (at < truth.size()) {
      found[at] = true;
      ++counts.right;
    } else {
      ++counts.wrong;
    }
  }
  counts.missed = truth.size() - counts.right;
  return counts;
}

std::optional<std::vector<SaidRange>> said_according_to(const GoldLabel& label,
                                                        const CalibrationItem& item) {
  if (!label.claims || !label.is_complete()) return std::nullopt;
  std::vector<SaidRange> said;
  for (size_t i = 0; i < item.claims.size(); ++i) {
    if (*(*label.claims)[i]) said.push_back(item.claims[i].said);
  }
  said.insert(said.end(), label.missing_said.begin(), label.missing_said.end());
  return said;
}

AgreementReport measure_people_agreement(std::span<const CalibrationItem> items,
                                         const GoldLabels& labels, const VerdictsByGrader& verdicts,
                                         const BootstrapOptions& options) {
  AgreementReport report{.items = items.size(), .people = labels.people()};
  for (const CalibrationItem& item : items) {
    const auto of_item = labels.of(item.id);
    report.labelled += std::any_of(of_item.begin(), of_item.end(),
                                   [](const GoldLabel* label) { return label->is_complete(); });
  }
  measure_people(report, items, labels, options);
  measure_graders(report, items, labels, verdicts, options);
  measure_claims(report, items, labels, options);
  measure_claims_of_people(report, items, labels, options);
  measure_stops(report, items, labels, options);
  return report;
}

}  // namespace l2a
