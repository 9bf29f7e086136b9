// Group-relative advantages: what a reply is worth beside its siblings. Pure functions.
//
// Shape suffixes: p prompts (expert turns), g replies per prompt.
//
// `scored_pg` (bool) is false for replies that don't count: the grader failed, or they are masked.
// They are left out of every mean and deviation and get 0, whatever stands for their reward; the
// loss must leave them out too (row_token_weights). Rewards are rounded to float32 first, means are
// exact: a group whose rewards are all equal gets exactly 0, so it does not move the policy.
// Deviations divide by n; 1e-6 is added to them. The 1e-6 and the mask are ours.
#pragma once

#include <span>

#include <ATen/core/Tensor.h>

namespace l2a {

enum class Advantage {
  kGroupStd,     // (r - mean) / std of the group (GRPO, arXiv 2402.03300)
  kGroupMean,    // r - mean of the group (Dr. GRPO, arXiv 2503.20783)
  kLeaveOneOut,  // r - mean of the others of the group (RLOO, arXiv 2402.14740)
  kBatchStd,     // r - mean of the group, / std of that over all groups (REINFORCE++-baseline,
                 // arXiv 2501.03262)
  kBest,         // 1 for the group's best unless all are, 0 for the others: with REINFORCE,
                 // rejection-sampling fine-tuning (RAFT, arXiv 2304.06767)
};

// float32 [p, g].
at::Tensor group_advantages(const at::Tensor& reward_pg, const at::Tensor& scored_pg,
                            Advantage kind = Advantage::kGroupStd);

struct RewardPart {
  at::Tensor reward_pg;
  double weight = 1;
};
// Each part compared by itself, as kGroupStd does, so that none drowns another; their weighted sum
// divided by its std over all groups; float32 [p, g]. GDPO, arXiv 2601.05242 (its batch mean is 0
// here: every group's is).
at::Tensor gdpo_advantages(std::span<const RewardPart> parts, const at::Tensor& scored_pg);

// bool [p]: the group's advantages are all exactly 0, so it teaches nothing.
at::Tensor zero_variance_groups(const at::Tensor& advantage_pg);

}  // namespace l2a
