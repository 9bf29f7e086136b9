// From replies to rewards: reads the decision, counts questions, calls the grader for what
// needs it, fuses. The one place where training and evaluation get their numbers from.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "dialogue/action.h"
#include "hindsight/question.h"
#include "hindsight/sample.h"
#include "reward/fusion.h"
#include "reward/grader.h"

namespace l2a {

struct ScoringOptions {
  ReplyFormat format = ReplyFormat::kPlain;
  Fusion fusion = Fusion::kProduct;
  // Reproduces the published code: a stop iff the reply contains `<stop />`; format 1 for a
  // stop only when byte-exact. (The other two compat rules are about samples: hindsight/.)
  bool compat = false;
};

// The same options. Throws Failure: compat with replies as a tuple, in which it finds no stop.
ScoringOptions checked(const ScoringOptions& options);

// One reply to score. Views; the owner outlives the call. The sample has a decision target.
struct ScoreRequest {
  const LabelledSession* session = nullptr;
  const Sample* sample = nullptr;
  Reply reply;
};

struct ScoredReply {
  std::optional<Action> action;  // nullopt: malformed, no decision
  bool decided_right = false;
  size_t questions = 0;  // question sentences and requests in the reply; 0 for a stop
  // The parts and the fused reward; nullopt: unscored (its grader failed, or its continue
  // sample is unlabelled, whatever the reply says). Never 0, never 1.
  std::optional<RewardParts> parts;
  std::optional<double> reward;
  std::string reason;         // the grader's, or why there is no grade
  bool by_rule = false;       // no grader was asked
  bool unrecognised = false;  // Grade::unrecognised
};

// Format P of a reply that rightly continues: 1 for one question, 0.5 for two, else 0.
double format_score(size_t questions);

// Scores in the order of the requests. Only replies that rightly continue and ask something
// reach the grader, all in one batch. A reply that is not UTF-8 is malformed.
std::vector<ScoredReply> score_replies(std::span<const ScoreRequest> requests, Grader& grader,
                                       const QuestionForms& forms, const ScoringOptions& options);

}  // namespace l2a
