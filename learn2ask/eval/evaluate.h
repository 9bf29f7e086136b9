// Replaying a policy over labelled sessions: it answers every expert turn's context, each
// grader scores the answers, and every scored reply is kept as a row.
#pragma once

#include <functional>
#include <span>
#include <vector>

#include "dialogue/policy.h"
#include "eval/evaluation_journal.h"
#include "eval/scored_row.h"
#include "hindsight/question.h"
#include "reward/score.h"

namespace l2a {

// Decoding of the published evaluation: 3 samples a context at temperature 1, top-p 0.95,
// repetition penalty 1.2, 512 tokens.
DecodingOptions published_decoding();

struct EvaluationOptions {
  PolicyRole role = PolicyRole::kModel;
  std::string trained_by = {};                                    // facts.trained_by
  std::string split = {};                                         // named in every table
  std::vector<std::pair<std::string, std::string>> prompts = {};  // file name, SHA-256
  DecodingOptions decoding = {};                                  // default: greedy, one reply
  ScoringOptions scoring = {};
  double max_failure_rate = 0.05;  // of a grader; past it there is no result
  // The policy is asked for the contexts of this many sessions at once.
  size_t sessions_per_batch = 32;
  // Where finished batches are kept, and taken from instead of evaluating them again; null: none
  // are kept. Its header names all that decides the rows, these options included.
  EvaluationJournal* journal = nullptr;
};

// One Evaluation a grader, in their order; the policy replies once for all of them.
//
// A sample takes part when it has both targets (is_labelled); compat also leaves out continue
// samples with empty I*. What is left out is counted in the facts. `sessions_done` is called
// with the number of sessions finished since its last call. A policy whose replies depend on the
// context alone gives the same rows for any split of the sessions into several calls.
//
// Throws Failure when the policy does; kInvalidInput when no sample takes part; kUnsupported when a
// grader left more than `max_failure_rate` of the replies that it had to grade unscored (looked at
// after each batch from 200 of them on, and after the last): what needs no grade would make up the
// result alone. The batch that went too far is not kept in the journal.
std::vector<Evaluation> evaluate(Policy& policy, std::span<const LabelledSession> sessions,
                                 std::span<Grader* const> graders, const QuestionForms& forms,
                                 const EvaluationOptions& options,
                                 const std::function<void(size_t)>& sessions_done);

}  // namespace l2a
