// Rows and sessions for the tests of this module.
#pragma once

#include <string>
#include <vector>

#include "base/rng.h"
#include "eval/scored_row.h"

namespace l2a::testing {

// A row as score_replies would make it under the product fusion. `said` "stop", "ask" or
// "malformed"; `micro` and `questions` count where the policy rightly goes on.
inline ScoredRow make_row(const std::string& session, size_t turn, Decision truth,
                          const std::string& said, double micro = 0, size_t questions = 1,
                          size_t wanted = 1) {
  ScoredRow row;
  row.session = session;
  row.turn = turn;
  row.truth = truth;
  row.kind = truth == Decision::kStop ? TurnKind::kStop : TurnKind::kAsk;
  row.wanted = truth == Decision::kStop ? 0 : wanted;
  if (said == "stop") row.action = Action{Decision::kStop, ""};
  if (said == "ask") row.action = Action{Decision::kContinue, "How old are you?"};
  row.reply.text = said == "stop" ? "<stop />" : said == "ask" ? "How old are you?" : "";
  row.questions = said == "ask" ? questions : 0;
  RewardParts parts;
  if (row.action && row.action->decision == truth) {
    const double format = questions == 1 ? 1 : questions == 2 ? 0.5 : 0;
    parts = truth == Decision::kStop ? RewardParts{1, 1, 1} : RewardParts{1, micro, format};
  }
  row.parts = parts;
  row.reward = fuse(Fusion::kProduct, parts);
  return row;
}

// Rows of `sessions` sessions of 1 to 6 turns with everything that occurs: wrong and malformed
// replies, inform contexts, empty targets, unscored replies, repeated questions.
inline std::vector<ScoredRow> random_rows(uint64_t seed, size_t sessions) {
  Rng rng(seed);
  std::vector<ScoredRow> rows;
  for (size_t s = 0; s < sessions; ++s) {
    const size_t turns = 1 + rng.below(6);
    for (size_t t = 0; t < turns; ++t) {
      const Decision truth = rng.chance(0.3) ? Decision::kStop : Decision::kContinue;
      const char* said = rng.chance(0.1) ? "malformed" : rng.chance(0.4) ? "stop" : "ask";
      ScoredRow row = make_row("s" + std::to_string(s), 2 * t + 1, truth, said,
                               0.5 * static_cast<double>(rng.below(3)), rng.below(4), rng.below(3));
      if (truth == Decision::kContinue && rng.chance(0.2)) row.kind = TurnKind::kInform;
      row.repeated = row.questions > 0 && rng.chance(0.2);
      const bool graded = truth == Decision::kContinue && row.questions > 0;
      if (graded && rng.chance(0.1)) row.parts.reset(), row.reward.reset();
      rows.push_back(std::move(row));
    }
  }
  return rows;
}

// A session of alternating turns, user first, with a continue sample at each expert turn (one
// item open) and a stop at the last one.
inline LabelledSession make_session(const std::string& id, const std::vector<std::string>& turns) {
  LabelledSession session;
  session.id = id;
  for (size_t i = 0; i < turns.size(); ++i) {
    session.turns.push_back({i % 2 ? Role::kAssistant : Role::kUser, turns[i], i, 1});
    if (i % 2 == 0) continue;
    const bool last = i + 2 > turns.size() - 1;
    Sample sample;
    sample.turn = i;
    sample.kind = {last ? TurnKind::kStop : TurnKind::kAsk, "test"};
    sample.wanted = std::vector<Item>();
    if (!last) sample.wanted->push_back({turns[i + 1], turns[i], i, i + 1, i + 1, 0, 0});
    sample.decision = {last ? Decision::kStop : Decision::kContinue, "test"};
    session.samples.push_back(std::move(sample));
  }
  return session;
}

}  // namespace l2a::testing
