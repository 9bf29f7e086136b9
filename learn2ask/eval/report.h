// The report of a run: one self-contained HTML page that opens from a file, without a network.
//
// All text may come from data: it is escaped, and a Content-Security-Policy lets nothing run
// but the page's own script. Style and script are files of web/; the chart library too, when it
// has been installed there (npm ci); without it the page shows the curves' ends in words.
#pragma once

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "eval/agreement.h"
#include "eval/curves.h"
#include "eval/dialogues.h"
#include "eval/tables.h"

namespace l2a {

// Two policies compared by session.
struct ReportComparison {
  std::string a, b;
  PairedDifference difference;
};

struct Report {
  std::string title;
  // Policies from before to after training, e.g. base, SFT, GRPO: the headline and the cards
  // tell their way. Each names a policy of `summaries` (of its first table).
  std::vector<std::string> journey;
  std::vector<Summary> summaries;
  std::vector<ReportComparison> comparisons;
  std::vector<Agreement> agreements;
  std::vector<Curve> curves;
  std::vector<DialogueSample> dialogues;
  std::vector<std::pair<std::string, std::string>> facts;  // machine, date, hashes, ...
  std::vector<std::string> commands;                       // that made it, in order
  std::vector<std::string> notes;                          // what limits the numbers
};

// The page. `web_directory` holds report.css and report.js, and node_modules/uplot when it is
// installed. Throws Failure: kNotFound for a missing style or script, kInvalidInput when the
// journey names a policy that has no summary.
std::string render_report(const Report& report, const std::filesystem::path& web_directory);

}  // namespace l2a
