// Evaluation as a function: policies and baselines on one split under several graders, tables,
// comparisons, sample dialogues and the report page.
#pragma once

#include <string>
#include <vector>

#include "base/config.h"
#include "cli/grading_estimate.h"
#include "cli/policy_setup.h"
#include "cli/reward_setup.h"
#include "dialogue/policy.h"

namespace l2a {

struct EvaluationSettings {
  PolicyOptions policy;
  DecodingOptions decoding;  // greedy, one reply
  LlmGradingOptions grading;
  LlmOptions llm;
  std::string fusion = "product";
  bool compat = false;
  double max_failure_rate = 0.05;
  int64_t resamples = 2000;
  int64_t dialogues = 8;

  template <class Visitor>
  void visit(Visitor& v) {
    v.group("policy", policy);
    v.group("decoding", decoding);
    v.group("grading", grading);
    v.group("llm", llm);
    v.choice("fusion", fusion, {"product", "sum", "macro-only", "micro-only"},
             "how decision, question and format become one number");
    v("compat", compat, "score as the published code does");
    v("max_failure_rate", max_failure_rate, Range{0, 1},
      "share of replies that a grader may leave unscored before the evaluation ends");
    v("resamples", resamples, Range{100, 1e6}, "bootstrap resamples of the intervals");
    v("dialogues", dialogues, Range{0, 1000}, "sampled contexts shown side by side");
  }
};

struct NamedPolicy {
  std::string name;
  std::string directory;  // of an adapter, a model or a training run; empty: the base model
};

struct EvaluationFiles {
  std::string labels;
  std::string train_labels;           // for the baselines that look at them; may be empty
  std::vector<NamedPolicy> policies;  // from before to after training
  GraderInputs grader_inputs;         // for graders that need more than the labels
  std::vector<std::string> graders;   // names
  std::string split;                  // named in every table
  std::string history;                // journal of the commands that led here; may be empty
  std::string out;
};

// Writes OUT/rows/POLICY.GRADER.jsonl, OUT/eval.json, OUT/eval.md, OUT/dialogues.txt and
// OUT/report.html, and returns the tables as text. Until all of them are there,
// OUT/rows/POLICY.journal.jsonl keeps what is finished: a call after a kill goes on from it, and
// refuses where it was left by an evaluation of something else. Throws Failure.
std::string evaluate_step(const EvaluationSettings& settings, const EvaluationFiles& files);

// The calls that the grader llm would make, about; none where it is not among the graders. Nothing
// is sampled, sent or written. Throws Failure.
CallEstimate estimate_evaluation(const EvaluationSettings& settings, const EvaluationFiles& files);

}  // namespace l2a
