// The groups of a GRPO step, sampled and graded.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "train/reply_group.h"

namespace l2a {

struct StepSeconds {
  double sampling = 0, grading = 0;
};
struct StepGroups {
  std::vector<ReplyGroup> groups;
  StepSeconds seconds;
};

// Those of the batch of sessions that is due at `step`; with options.dynamic_rounds also of other
// sessions, a batch at a time, until as many groups have variance as the first batch has groups, or
// the rounds or sessions end, or a round has no reply that could be graded. Which sessions and
// replies depends on (seed, step) and the adapter.
StepGroups collect_groups(std::span<const LabelledSession* const> sessions, int64_t step,
                          const TrainerSetup& setup, const RewardFn& reward,
                          const GrpoOptions& options, const LoraAdapter& adapter);

}  // namespace l2a
