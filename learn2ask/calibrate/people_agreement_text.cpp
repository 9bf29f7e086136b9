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

size_t stop_items(const AgreementReport& report) {
  return report.stops[0][0] + report.stops[0][1] + report.stops[1][0] + report.stops[1][1];
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
    text += fmt::format(
        "\nextraction: {} items: F1 {}, precision {}, recall {} ({} right, {} wrong, {} missed)\n",
        report.extract_items, text_of(report.claims_f1), text_of(report.claims.precision()),
        text_of(report.claims.recall()), report.claims.right, report.claims.wrong,
        report.claims.missed);
  }
  if (stop_items(report) > 0) {
    text += fmt::format(
        "\nstops: {} items: of those where people stop {} of {} stop in the labels, of the others "
        "{} of {} go on\n",
        stop_items(report), report.stops[1][1], report.stops[1][0] + report.stops[1][1],
        report.stops[0][0], report.stops[0][0] + report.stops[0][1]);
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

Json to_json(const AgreementReport& report) {
  return {{"items", report.items},
          {"labelled", report.labelled},
          {"people", report.people},
          {"between_people", json_of(report.between_people)},
          {"people_alpha", to_json(report.people_alpha)},
          {"graders", json_of(report.graders)},
          {"extraction",
           {{"items", report.extract_items},
            {"right", report.claims.right},
            {"wrong", report.claims.wrong},
            {"missed", report.claims.missed},
            {"f1", to_json(report.claims_f1)}}},
          {"stops", report.stops}};
}

}  // namespace l2a
