// Group-relative advantages: what a reply is worth beside its siblings. Pure functions.
//
// Shape suffixes: p prompts (expert turns), g replies per prompt, 1 a kept axis.
#pragma once

#include <ATen/core/Tensor.h>

namespace l2a {

enum class AdvantageScale {
  kStd,   // divided by the group's standard deviation + 1e-6 (GRPO, arXiv 2402.03300)
  kNone,  // centred only (Dr. GRPO, arXiv 2503.20783)
};

// (reward - mean over the group) / (std over the group + 1e-6), or without the division;
// float32 [p, g]. Rewards are rounded to float32 first. A group whose rewards are all equal gets
// exactly 0, so it does not move the policy. `scored_pg` (bool) is false where the grader failed:
// such replies are left out of the mean and std and get 0; the loss must mask them too
// (token_weights). std divides by n. The 1e-6 and the mask are ours.
at::Tensor group_advantages(const at::Tensor& reward_pg, const at::Tensor& scored_pg,
                            AdvantageScale scale = AdvantageScale::kStd);

// bool [p]: the group's advantages are all exactly 0, so it teaches nothing.
at::Tensor zero_variance_groups(const at::Tensor& advantage_pg);

}  // namespace l2a
