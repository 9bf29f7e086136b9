// The sessions that a trainer samples replies to, and a step's groups of replies, graded.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "train/reply_group.h"

namespace l2a {

struct SampledSessions {
  SessionPointers trained, held_out;
};
// Those with a turn that is trained on. Says how many contexts are without their oldest turns.
// Throws Failure: none to train on, none that gives a score where some should, a context that is
// too long.
SampledSessions sampled_sessions(const TrainerSetup& setup,
                                 std::span<const LabelledSession> sessions,
                                 std::span<const LabelledSession> held_out,
                                 const ReplyOptions& options, const LoopOptions& loop);

// Says how many of the expert's replies at these turns are no target since they are longer than
// replies may be; nothing for none.
void note_long_experts(const TrainerSetup& setup, const SessionPointers& sessions,
                       const ExpertTurns& turns, const ReplyOptions& options);

// What a step's replies cost.
struct SamplingCost {
  double sample_seconds = 0;
  double grade_seconds = 0;  // that went by when all replies were there
  size_t tokens = 0;
  int64_t most_bytes = 0;  // of keys and values, at a time
};
struct StepGroups {
  std::vector<ReplyGroup> groups;
  SamplingCost cost;
};

// Those of the batch of sessions that is due at `step`; with options.dynamic_rounds also of other
// sessions, sessions_per_step at a time, until as many groups have variance as the first batch has
// groups, or the rounds or sessions end, or a round has no reply that could be graded. Which
// sessions and replies depends on (seed, step) and the weights.
StepGroups collect_groups(const SessionPointers& sessions, uint64_t seed, int64_t step,
                          const TrainerSetup& setup, const RewardFn& reward,
                          const ReplyOptions& options, const TrainedWeights& trained);

// The `time` of a step's line of metrics.jsonl.
Json step_time(const SamplingCost& cost, double update_seconds, int64_t trained_tokens);

// Mean reward of one greedy reply at each turn that is trained on; empty without sessions. Adds
// `held_out_unscored` to the metrics; throws Failure (kUnavailable) when that is more than
// options.max_failure_rate of the replies. The references outlive the result.
HeldOutScore greedy_reward(const SessionPointers& sessions, const TrainerSetup& setup,
                           const RewardFn& reward, const ReplyOptions& options, uint64_t seed,
                           const TrainedWeights& trained);

}  // namespace l2a
