// From reward options to the function that a trainer calls.
#pragma once

#include <memory>
#include <string>

#include "base/config.h"
#include "cli/grader_factory.h"
#include "dialogue/action.h"
#include "reward/score.h"
#include "train/reward_fn.h"

namespace l2a {

struct RewardOptions {
  std::string grader = "match";
  std::string thresholds = "flodial";
  std::string fusion = "product";
  bool compat = false;

  Fusion fusion_kind() const { return fusion_from_name(fusion).value_or_throw(); }

  template <class Visitor>
  void visit(Visitor& v) {
    v.choice("grader", grader, {"match", "words", "llm"},
             "who grades questions; llm: the model of `llm`");
    v("thresholds", thresholds,
      "the grader's thresholds: flodial (English trouble-shooting), pharmacy, or a file fitted on "
      "your own labels");
    v.choice("fusion", fusion, {"product", "sum", "macro-only", "micro-only"},
             "how decision, question and format become one number");
    v("compat", compat, "score as the published code does: any <stop /> in a reply is a stop");
  }
};

// Owns what grading needs. Must outlive the function that it gives.
class RewardSetup {
 public:
  // `inputs`: what the grader needs besides the options' thresholds. Throws Failure: what
  // GraderFactory throws.
  RewardSetup(const RewardOptions& options, GraderInputs inputs, ReplyFormat format);
  RewardSetup(const RewardSetup&) = delete;
  RewardSetup& operator=(const RewardSetup&) = delete;

  RewardFn reward_fn();
  const QuestionForms& forms() const { return forms_; }
  std::string grader_name() const { return grader_->name(); }
  std::string costs() const { return factory_.costs(); }  // of a grader that has any

 private:
  ScoringOptions scoring_;
  QuestionForms forms_;
  GraderFactory factory_;
  std::unique_ptr<Grader> grader_;
};

}  // namespace l2a
