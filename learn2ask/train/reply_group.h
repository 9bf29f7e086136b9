// The groups of a GRPO step: one expert turn and the graded replies to it.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/json.h"
#include "rollout/rollout.h"
#include "train/grpo.h"
#include "train/rows.h"

namespace l2a {

struct ReplyGroup {
  const LabelledSession* session = nullptr;
  const Sample* sample = nullptr;  // labelled
  std::vector<int32_t> context;    // ids of C_t, ending in the reply header
  size_t turns_cut = 0;            // oldest turns that are not in them
  std::vector<Rollout> replies;
  std::vector<RewardResult> results;  // one a reply, once graded
  std::vector<double> shaping;        // one a reply, added to its reward: reward_shaping.h
  // One a reply, 0 for those that don't count: of its tokens, and of the first.
  std::vector<double> advantages, first_advantages;
  bool zero_variance = false;  // all advantages are 0: only a KL penalty or entropy bonus pulls
};

// Whether the reply is compared and learned from: it is scored, and not masked.
bool counts(const ReplyGroup& group, size_t reply, const GrpoOptions& options);

TrainingRow training_row(const ReplyGroup& group, size_t reply, int64_t group_index);

// The groups of these sessions that are trained on, without replies; those of one session stand
// together. Throws Failure for a context that is too long.
std::vector<ReplyGroup> make_groups(std::span<const LabelledSession* const> sessions,
                                    const TrainerSetup& setup, const GrpoOptions& options);

// Samples the replies. Reply g of a context depends on (decoding.seed, context, g) only.
void sample_groups(std::vector<ReplyGroup>& groups, const TrainerSetup& setup,
                   const LoraAdapter& adapter, const DecodingOptions& decoding, int64_t max_rows);

void grade_groups(std::vector<ReplyGroup>& groups, const RewardFn& reward);

// Whether replies that count earned different rewards.
bool has_variance(const ReplyGroup& group, const GrpoOptions& options);

// Advantages of rewards and their shaping, times the weight of stop or continue samples.
void set_advantages(std::vector<ReplyGroup>& groups, const GrpoOptions& options);

// Adds the groups' outcomes to the window of the last 200 replies and throws Failure
// (kUnavailable) when more than `max_rate` of 200 were unscored.
void watch_failures(const std::vector<ReplyGroup>& groups, double max_rate, std::string& recent);

// Mean reward of the scored replies. Throws Failure (kUnavailable) when there is none.
double mean_reward(const std::vector<ReplyGroup>& groups);

// What metrics.jsonl says of the replies; null where nothing was scored.
Json reply_metrics(const std::vector<ReplyGroup>& groups, ReplyFormat format);

// Lines of rollouts.jsonl and, for the unscored, of failures.jsonl.
void log_groups(const std::vector<ReplyGroup>& groups, TrainingRun& run);

}  // namespace l2a
