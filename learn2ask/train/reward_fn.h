// What a trainer needs to know of rewards. train/ never sees graders or HTTP: cli/ plugs in
// reward/score.h.
#pragma once

#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "dialogue/policy.h"
#include "hindsight/sample.h"

namespace l2a {

struct RewardRequest {
  const LabelledSession* session = nullptr;
  const Sample* sample = nullptr;
  Reply reply;
};

struct RewardResult {
  // nullopt: unscored. Masked out of the group's mean, its deviation, the loss and its
  // normaliser, and counted; never 0.
  std::optional<double> reward;
  double macro = 0, micro = 0, format = 0;  // meaningful only with a reward
  bool malformed = false;
  bool stops = false;     // the decision that was read in the reply
  bool by_rule = false;   // no grader was needed: a stop, a wrong decision, nothing asked
  std::string note = {};  // why it is unscored, or what decided
};

// Called by one thread at a time, which need not be the trainer's (background_grading.h).
using RewardFn = std::function<std::vector<RewardResult>(std::span<const RewardRequest>)>;

// One result a request. A reward with a part that is no finite number is unscored, and its note
// says so.
std::vector<RewardResult> grade(const RewardFn& reward, std::span<const RewardRequest> requests);

// The same of several lists in one call of `reward`: their results, list by list.
using RewardRequests = std::vector<RewardRequest>;
std::vector<std::vector<RewardResult>> grade_lists(const RewardFn& reward,
                                                   std::span<const RewardRequests> lists);

}  // namespace l2a
