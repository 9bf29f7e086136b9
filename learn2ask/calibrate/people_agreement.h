// How far graders, labels and extractors agree with people, and people with each other, who are the
// ceiling. Pure functions; docs/calibration.md has the definitions.
#pragma once

#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/bootstrap.h"
#include "base/json.h"
#include "calibrate/calibration_item.h"
#include "calibrate/gold_label.h"
#include "reward/confusion.h"

namespace l2a {

// On one item, from 0 to 1; nullopt: none was given.
using Verdict = std::optional<double>;

// By grader's name, for each item what it said each time it was asked.
using VerdictsByGrader = std::map<std::string, std::vector<std::vector<Verdict>>>;

// Two judges of the same items.
struct JudgeAgreement {
  std::string a, b;        // `a`, "people" or somebody's name, stands in the first index of `table`
  ConfusionTable table{};  // items
  // 95% intervals by session; nullopt: undefined. `alpha` is Krippendorff's, ordinal.
  std::optional<Estimate> rate = {}, linear_kappa = {}, alpha = {};
  // Of a grader that was asked several times: the share of items on which it did not say the same
  // each time, and the mean distance of its highest and lowest verdict.
  std::optional<double> changed = {}, spread = {};
};

// What two judges said of one item.
struct VerdictPair {
  std::string session;
  Verdict a, b;
};
JudgeAgreement measure_judges(std::string a, std::string b, std::span<const VerdictPair> pairs,
                              const BootstrapOptions& options = {});

// What an extractor claims that was said, against what people say was said.
struct ClaimCounts {
  size_t right = 0, wrong = 0, missed = 0;
  void add(const ClaimCounts& other);
  std::optional<double> precision() const, recall() const, f1() const;  // nullopt: undefined
};

// How far two people agree on what was said: the one's stretches as claims, the other's as truth.
struct ClaimAgreement {
  std::string a, b;
  size_t items = 0;
  ClaimCounts counts = {};
  // 95% interval by session; the same whoever of them is the truth.
  std::optional<Estimate> f1 = {};
};

// A claim is right when it overlaps a stretch of the truth that no earlier claim has.
ClaimCounts count_claims(std::span<const SaidRange> claims, std::span<const SaidRange> truth);

// What was said according to a person: the right claims and what is missing. nullopt for a label
// that is not complete.
std::optional<std::vector<SaidRange>> said_according_to(const GoldLabel& label,
                                                        const CalibrationItem& item);

struct AgreementReport {
  size_t items = 0, labelled = 0;
  std::vector<std::string> people = {};
  std::vector<JudgeAgreement> between_people = {};  // each two with graded items in common
  std::optional<Estimate> people_alpha = {};        // of all of them together
  std::vector<JudgeAgreement> graders = {};         // people's middle grade against each grader
  // Extract items: claims over items and people.
  size_t extract_items = 0;
  ClaimCounts claims = {};
  std::optional<Estimate> claims_f1 = {};
  std::vector<ClaimAgreement> claims_between_people = {};
  // Stop items: people's decision against the labels', as grades: 0 is continue, 1 is stop.
  JudgeAgreement stops = {};
  std::vector<JudgeAgreement> stops_between_people = {};
};

// Highest less lowest of the verdicts; nullopt where fewer than two were given.
std::optional<double> spread_of(std::span<const Verdict> verdicts);

// Each grader's first verdict on an item is compared with people's.
AgreementReport measure_people_agreement(std::span<const CalibrationItem> items,
                                         const GoldLabels& labels, const VerdictsByGrader& verdicts,
                                         const BootstrapOptions& options = {});

std::string to_text(const AgreementReport& report);
Json to_json(const JudgeAgreement& agreement);
// {"item", "people", "verdicts": {grader: [...]}, "spread": {grader: ...}} for the item `at`: what
// each grader said each time, null where it gave none.
Json verdicts_on_item(const CalibrationItem& item, const GoldLabels& labels,
                      const VerdictsByGrader& verdicts, size_t at);
// All of it; an estimate is {"value", "low", "high", "count"} or null.
Json to_json(const AgreementReport& report);

}  // namespace l2a
