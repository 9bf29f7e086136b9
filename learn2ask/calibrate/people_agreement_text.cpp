// AgreementReport for people and for programs.
#include <fmt/format.h>

#include "base/utf8.h"
#include "calibrate/people_agreement.h"

namespace l2a {
namespace {

std::string text_of(const std::optional<Estimate>& estimate) {
  if (!estimate) return "-";
  return fmt::format("{:.3f} [{:.2f}, {:.2f}]", estimate->value, estimate->low, estimate->high);
}
std::string text_of(const std::optional<double>& value) {
  return value ? fmt::format("{:.3f}", *value) : "-";
}

std::string text_of(const JudgeAgreement& agreement) {
  std::string text = fmt::format("{} and {}: {} items, linear kappa {}, alpha {}, equal {}",
                                 shown(agreement.a), shown(agreement.b, 120),
                                 scored_in(agreement.table), text_of(agreement.linear_kappa),
                                 text_of(agreement.alpha), text_of(agreement.rate));
  if (agreement.changed) {
    text += fmt::format("; asked again it says something else on {:.1f}% (mean distance {:.3f})",
                        100 * *agreement.changed, *agreement.spread);
  }
  text += fmt::format("\n{:>20}", "");
  for (const char* verdict : kVerdictClasses) text += fmt::format("{:>10}", verdict);
  text += "\n";
  for (size_t i = 0; i < kGrades; ++i) {
    text += fmt::format("{:>20}", kVerdictClasses[i]);
    for (const size_t count : agreement.table[i]) text += fmt::format("{:>10}", count);
    text += "\n";
  }
  return text;
}

Json json_of(const std::optional<double>& value) { return value ? Json(*value) : Json(nullptr); }

Json json_of(const std::vector<JudgeAgreement>& agreements) {
  Json list = Json::array();
  for (const JudgeAgreement& agreement : agreements) list.push_back(to_json(agreement));
  return list;
}

// Of the decisions in a table of grades: 0 is continue, 1 is stop.
constexpr size_t kContinueClass = 0, kStopClass = 2;

std::string decisions_text(const JudgeAgreement& decisions) {
  const auto& table = decisions.table;
  return fmt::format("{} and {}: {} items, kappa {}, equal {}; ", shown(decisions.a),
                     shown(decisions.b), scored_in(table), text_of(decisions.linear_kappa),
                     text_of(decisions.rate)) +
         fmt::format("both go on {}, both stop {}, only {} stops {}, only {} {}\n",
                     table[kContinueClass][kContinueClass], table[kStopClass][kStopClass],
                     shown(decisions.a), table[kStopClass][kContinueClass], shown(decisions.b),
                     table[kContinueClass][kStopClass]);
}

std::string claims_text(const ClaimCounts& counts, const std::optional<Estimate>& f1) {
  return fmt::format("F1 {}, precision {}, recall {} ({} right, {} wrong, {} missed)\n",
                     text_of(f1), text_of(counts.precision()), text_of(counts.recall()),
                     counts.right, counts.wrong, counts.missed);
}

Json json_of(const ClaimCounts& counts, const std::optional<Estimate>& f1, size_t items) {
  return {{"items", items},
          {"right", counts.right},
          {"wrong", counts.wrong},
          {"missed", counts.missed},
          {"f1", to_json(f1)}};
}

}  // namespace

std::string to_text(const AgreementReport& report) {
  std::string text = fmt::format("{} of {} items are labelled, by", report.labelled, report.items);
  for (const std::string& name : report.people) text += " " + shown(name);
  text += report.people.empty() ? " nobody\n" : "\n";
  text += "Intervals: 95%, bootstrap by session. Tables: the first judge's verdicts downwards.\n";
  if (report.people.size() < 2) {
    text += "One person's labels have no ceiling: let a second one label some of the items.\n";
  }
  for (const JudgeAgreement& agreement : report.between_people) text += "\n" + text_of(agreement);
  if (report.between_people.size() > 1) {
    text += "\nall people: alpha " + text_of(report.people_alpha) + "\n";
  }
  for (const JudgeAgreement& agreement : report.graders) text += "\n" + text_of(agreement);
  if (report.extract_items > 0) {
    text += fmt::format("\nextraction: {} items: {}", report.extract_items,
                        claims_text(report.claims, report.claims_f1));
  }
  for (const ClaimAgreement& people : report.claims_between_people) {
    text += fmt::format("{} against {}, {} items: F1 {}\n", shown(people.a), shown(people.b),
                        people.items, text_of(people.f1));
  }
  const bool decides = scored_in(report.stops.table) > 0;
  if (decides || !report.stops_between_people.empty()) text += "\nstops:\n";
  if (decides) text += decisions_text(report.stops);
  for (const JudgeAgreement& people : report.stops_between_people) {
    text += decisions_text(people);
  }
  return text;
}

Json to_json(const JudgeAgreement& agreement) {
  return {{"a", agreement.a},
          {"b", agreement.b},
          {"linear_kappa", to_json(agreement.linear_kappa)},
          {"alpha", to_json(agreement.alpha)},
          {"equal", to_json(agreement.rate)},
          {"table", agreement.table},
          {"changed", json_of(agreement.changed)},
          {"spread", json_of(agreement.spread)}};
}

Json verdicts_on_item(const CalibrationItem& item, const GoldLabels& labels,
                      const VerdictsByGrader& verdicts, size_t at) {
  Json given = Json::object(), spreads = Json::object();
  for (const auto& [grader, of_items] : verdicts) {
    Json& list = given[grader] = Json::array();
    for (const Verdict& verdict : of_items[at]) list.push_back(json_of(verdict));
    if (const auto spread = spread_of(of_items[at])) spreads[grader] = *spread;
  }
  return {{"item", item.id},
          {"people", json_of(labels.grade_of(item.id))},
          {"verdicts", std::move(given)},
          {"spread", std::move(spreads)}};
}

Json to_json(const AgreementReport& report) {
  Json extraction = json_of(report.claims, report.claims_f1, report.extract_items);
  Json people = Json::array();
  for (const ClaimAgreement& agreement : report.claims_between_people) {
    Json json = json_of(agreement.counts, agreement.f1, agreement.items);
    json.update({{"a", agreement.a}, {"b", agreement.b}});
    people.push_back(std::move(json));
  }
  extraction["between_people"] = std::move(people);
  Json stops = to_json(report.stops);
  stops["between_people"] = json_of(report.stops_between_people);
  return {{"items", report.items},
          {"labelled", report.labelled},
          {"people", report.people},
          {"between_people", json_of(report.between_people)},
          {"people_alpha", to_json(report.people_alpha)},
          {"graders", json_of(report.graders)},
          {"extraction", std::move(extraction)},
          {"stops", std::move(stops)}};
}

}  // namespace l2a
