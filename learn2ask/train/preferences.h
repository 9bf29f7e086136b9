// Which graded replies are compared, or called good and bad.
#pragma once

#include <span>
#include <vector>

#include "train/dpo.h"
#include "train/reply_group.h"
#include "train/rows.h"

namespace l2a {

struct JudgedReplies {
  std::vector<TrainingRow> rows;
  std::vector<bool> good;
  std::vector<double> weights;                // of stop or continue samples, and of kto
  std::vector<std::vector<float>> log_probs;  // the sampler's; empty for an expert's reply
  std::vector<RewardResult> expert_results;   // of the expert's replies that were graded
  std::vector<Json> expert_failures;          // those of them that could not be: context, reason
};

// For pairs: a chosen row, then the rejected one, and so on; at most a pair a group. Rejected is
// the worst of the replies that count; chosen the best of them, or with pairs: expert the expert's
// own, which is graded as the others are. There is no pair where the two earned the same, the
// expert's earned less or could not be graded, or is longer than replies are.
//
// For kto: all replies that count and earned more (good) or less than their group's mean.
JudgedReplies judge_replies(std::span<const ReplyGroup> groups, const TrainerSetup& setup,
                            const RewardFn& reward, const DpoOptions& options);

}  // namespace l2a
