// Grading replies against the truth that the generator wrote beside every message, instead of what
// a log's expert happened to do. A yardstick that shares nothing with the graders used in training.
#pragma once

#include <map>
#include <span>
#include <string>
#include <vector>

#include "dialogue/action.h"
#include "dialogue/session.h"
#include "reward/grader.h"
#include "synth/recognise.h"

namespace l2a {

// What was true before one expert turn.
struct TurnTruth {
  std::vector<std::string> open;  // slots that matter and are not known yet, in the order to ask
  Decision decision = Decision::kContinue;  // the right one; stop exactly when nothing is open
};

// Truth by context id, "<session>/<turn>". Immutable once built; thread-safe.
class TruthIndex {
 public:
  // From sessions that `learn2ask generate` wrote, or an import of them. Throws Failure naming the
  // session when an expert's message has no truth: logs of people have none.
  explicit TruthIndex(std::span<const Session> sessions);

  size_t size() const { return turns_.size(); }
  // kNotFound for a context that no generated session has.
  Result<TurnTruth> find(const std::string& context_id) const;

 private:
  std::map<std::string, TurnTruth> turns_;
};

// 1: the reply's first question asks for an open slot. 0.5: it asks about the complaint in general
// while something is open. 0: a known or a foreign slot, a question that is not understood, none.
// The wanted items of a request are not looked at. kNotFound for a context without truth.
// Thread-safe.
class TruthGrader : public Grader {
 public:
  // All three outlive the grader.
  TruthGrader(const Domain& domain, const Recogniser& recogniser, const TruthIndex& truth)
      : domain_(domain), recogniser_(recogniser), truth_(truth) {}

  std::string name() const override { return "truth:" + domain_.name; }
  std::vector<Result<Grade>> grade(std::span<const GradeRequest> requests) override;

 private:
  Result<Grade> grade_one(const GradeRequest& request) const;

  const Domain& domain_;
  const Recogniser& recogniser_;
  const TruthIndex& truth_;
};

}  // namespace l2a
