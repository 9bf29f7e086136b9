// One expert turn and the graded replies to it: what GRPO, DPO and KTO learn from.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/json.h"
#include "rollout/rollout.h"
#include "train/expert_reply.h"
#include "train/reply_options.h"
#include "train/reward_fn.h"
#include "train/rows.h"
#include "train/training_run.h"

namespace l2a {

using SessionPointers = std::vector<const LabelledSession*>;

struct ReplyGroup {
  const LabelledSession* session = nullptr;
  const Sample* sample = nullptr;  // labelled
  std::vector<int32_t> context;    // ids of C_t, ending in the reply header
  size_t turns_cut = 0;            // oldest turns that are not in them
  std::vector<Rollout> replies;
  std::vector<RewardResult> results;  // one a reply, once graded
  // GRPO's, else empty. One a reply: added to its reward (reward_shaping.h); of its tokens, and of
  // the first, 0 where it does not count (reply_advantages.h).
  std::vector<double> shaping, advantages, first_advantages;
  bool zero_variance = false;  // nothing is to be learned from comparing its replies
};

// Whether replies are sampled at this turn.
bool is_trained_on(const Sample& sample, const ReplyOptions& options);

// The expert's own reply; nullopt also where it is longer than replies may be.
std::optional<ExpertReply> expert_reply(const ReplyGroup& group, const TrainerSetup& setup,
                                        const ExpertTurns& turns, const ReplyOptions& options);

// Whether the reply is compared and learned from: it is scored, and not masked.
bool counts(const ReplyGroup& group, size_t reply, const ReplyOptions& options);

// The group's context and a reply.
TrainingRow training_row(const ReplyGroup& group, const std::vector<int32_t>& reply,
                         int64_t group_index);

// The groups of these sessions that are trained on, without replies; those of one session stand
// together. Throws Failure for a context that is too long.
std::vector<ReplyGroup> make_groups(const SessionPointers& sessions, const TrainerSetup& setup,
                                    const ReplyOptions& options);

// Told of a group (its index) whose replies are complete, while others are still being sampled.
using OnGroup = std::function<void(size_t, const std::vector<Rollout>&)>;

// Samples the replies. Reply g of a context depends on (decoding.seed, context, g) only.
RolloutCost sample_groups(std::vector<ReplyGroup>& groups, const TrainerSetup& setup,
                          const TrainedWeights& trained, const DecodingOptions& decoding,
                          int64_t max_rows, const OnGroup& on_group = {});

// What the grader is asked about the group's replies, which need not be in it yet.
RewardRequests reward_requests(const ReplyGroup& group, const std::vector<Rollout>& replies);
void grade_groups(std::vector<ReplyGroup>& groups, const RewardFn& reward);

// Whether replies that count earned different rewards.
bool has_variance(const ReplyGroup& group, const ReplyOptions& options);
// Dynamic sampling takes another group in its place. By what was earned: shaping makes replies
// differ that are equally right.
bool is_left_out(const ReplyGroup& group, const ReplyOptions& options);

// Moves the window of the last 200 replies that a grader had to grade over these, one by one, and
// throws Failure (kUnavailable) where more than `max_rate` of 200 in it are unscored.
void watch_failures(std::span<const RewardResult> results, double max_rate, std::string& recent);
void watch_failures(const std::vector<ReplyGroup>& groups, double max_rate, std::string& recent);

// Mean reward of the scored replies, and the number of the others. Throws Failure (kUnavailable)
// when there is none, or when more than `max_rate` of those that a grader had to grade are
// unscored: they ask where they should, and a mean without them is that of other turns.
struct MeanReward {
  double reward = 0;
  size_t unscored = 0;
};
MeanReward mean_reward(const std::vector<ReplyGroup>& groups, double max_rate);

// What metrics.jsonl says of the replies; null where nothing was scored.
Json reply_metrics(const std::vector<ReplyGroup>& groups);

// Lines of rollouts.jsonl and, for the unscored, of failures.jsonl.
void log_groups(const std::vector<ReplyGroup>& groups, TrainingRun& run);

}  // namespace l2a
