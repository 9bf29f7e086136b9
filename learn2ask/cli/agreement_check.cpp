#include "cli/agreement_check.h"

#include <optional>

#include <fmt/format.h>

#include "base/file.h"
#include "base/json.h"
#include "base/utf8.h"
#include "reward/thresholds.h"

namespace l2a {
namespace {

constexpr const char* kUnlessTold = "or set reward.min_agreement=-1 to train all the same";

constexpr double kFewestItems = 30;  // that a kappa may rest on

struct Measured {
  double low = 0;
  std::string where;
};

// The lower end that a report has for the grader; nullopt where its kappa is undefined.
std::optional<double> low_in_report(const std::string& path, const std::string& grader) {
  const auto report = parse_json(read_file(path));
  if (!report) fail_input(path + ": " + report.error().message);
  const auto graders = report->find("graders");
  if (graders == report->end() || !graders->is_array()) {
    fail_input(path + ": 'graders': missing: no report of learn2ask calibrate report");
  }
  for (const Json& entry : *graders) {
    if (get_string(entry, "b").value_or_throw() != grader) continue;
    const auto kappa = entry.find("linear_kappa");
    if (kappa == entry.end() || kappa->is_null()) return std::nullopt;
    const double count = get_number(*kappa, "count").value_or_throw();
    if (count < kFewestItems) {
      fail_input(
          fmt::format("reward.agreement: {}: kappa of '{}' rests on {:g} items, and at least "
                      "{:g} are needed: label more, {}",
                      path, shown(grader, 200), count, kFewestItems, kUnlessTold));
    }
    return get_number(*kappa, "low").value_or_throw();
  }
  fail_input(
      fmt::format("reward.agreement: {} has no grader '{}': measure it with the same "
                  "settings (learn2ask calibrate report), {}",
                  path, shown(grader, 200), kUnlessTold));
}

Measured measured(const RewardOptions& options, const std::string& grader) {
  if (!options.agreement.empty()) {
    const auto low = low_in_report(options.agreement, grader);
    if (low) return {*low, options.agreement};
    fail_input(fmt::format("reward.agreement: {}: kappa of '{}' is undefined there: label more, {}",
                           options.agreement, shown(grader, 200), kUnlessTold));
  }
  require_measured(options);
  const std::string path = options.grader_inputs().thresholds_file();
  const auto agreement = load_thresholds(path).agreement;
  return {(options.grader == "match" ? agreement.match : agreement.words).low, path};
}

}  // namespace

void require_measured(const RewardOptions& options) {
  if (options.grader == "llm" && options.agreement.empty() && options.min_agreement > -1) {
    fail_input(
        fmt::format("reward.grader=llm: nobody knows how far it agrees with people: measure "
                    "it (learn2ask calibrate report --grader llm) and name the result in "
                    "reward.agreement, {}",
                    kUnlessTold));
  }
}

void check_agreement(const RewardOptions& options, const std::string& grader_name) {
  if (options.min_agreement <= -1) return;
  const bool is_yardstick = options.grader == "labels" || options.grader == "truth";
  if (is_yardstick && options.agreement.empty()) return;
  const auto [low, where] = measured(options, grader_name);
  if (low >= options.min_agreement) return;
  fail_input(
      fmt::format("reward.grader={}: its agreement with people is too low: the lower end of "
                  "kappa is {:.2f} in {}, below reward.min_agreement={:g}: calibrate it "
                  "(learn2ask calibrate run), {}",
                  options.grader, low, where, options.min_agreement, kUnlessTold));
}

}  // namespace l2a
