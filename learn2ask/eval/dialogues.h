// Sampled contexts side by side: what was still open, what each policy replied, what the
// expert really said.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "eval/scored_row.h"

namespace l2a {

struct PolicyAnswer {
  std::string policy;
  ScoredRow row;  // the policy's first reply
};

struct DialogueSample {
  std::string context_id;
  std::vector<Turn> context;  // C_t
  std::vector<Item> open;     // I*_t
  Decision truth = Decision::kContinue;
  std::string expert;  // the expert's own turn
  std::vector<PolicyAnswer> answers;
};

// At most `count` contexts, at most one a session, chosen by `seed`: two to go on at (with
// something open) for each one to stop at, as far as there are such. Only contexts that every
// evaluation answered; evaluations of baselines and of the expert are passed over.
std::vector<DialogueSample> sample_dialogues(std::span<const LabelledSession> sessions,
                                             std::span<const Evaluation> evaluations, size_t count,
                                             uint64_t seed);

// "right", "wrong" or "malformed", with the parts: "right, R_a 0.5, P 1, reward 3".
std::string verdict_text(const ScoredRow& row);

std::string dialogues_to_text(std::span<const DialogueSample> dialogues);

}  // namespace l2a
