// What an evaluation came to: its tables, comparisons, agreements and sample dialogues, and the
// files that hold them.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "base/bootstrap.h"
#include "base/json.h"
#include "cli/evaluation_step.h"
#include "eval/agreement_tables.h"
#include "eval/dialogues.h"
#include "eval/evaluate.h"
#include "eval/metrics.h"
#include "eval/report.h"
#include "hindsight/sample.h"

namespace l2a {

// What the results rest on, as they tell it.
struct EvaluationSources {
  Json grading_prompts;
  std::vector<std::pair<std::string, std::string>> facts;  // of the report
  std::vector<std::string> commands;                       // that led here, in order
};

class EvaluationResults {
 public:
  // `evaluations`: policy after policy, those of `files` first and in their order, and of each
  // policy grader after grader. `files` must outlive the results.
  EvaluationResults(std::vector<Evaluation> evaluations,
                    const std::vector<LabelledSession>& sessions,
                    const EvaluationSettings& settings, const EvaluationFiles& files);
  EvaluationResults(const EvaluationResults&) = delete;

  // Tables for a terminal.
  std::string text() const;
  // eval.json, eval.md, dialogues.txt and report.html, in the evaluation's folder. Throws Failure.
  void write(const EvaluationSources& sources) const;

 private:
  // A model against the one before it.
  struct Neighbours {
    const Evaluation& now;
    const Evaluation& before;
    PairedDifference difference;
  };

  void compare_neighbours(const BootstrapOptions& bootstrap);
  std::vector<Evaluation> of_first_grader() const;
  std::string comparisons_text() const;
  Json to_json(const Json& grading_prompts) const;
  Report report(const EvaluationSources& sources) const;

  const EvaluationFiles& files_;
  std::vector<Evaluation> evaluations_;
  std::vector<Summary> summaries_;
  std::vector<Neighbours> comparisons_;
  std::vector<Agreement> agreements_;
  std::vector<DialogueSample> dialogues_;
};

}  // namespace l2a
