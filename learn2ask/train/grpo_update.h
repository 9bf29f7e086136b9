// The optimizer steps on one step's graded groups.
#pragma once

#include <span>

#include "base/json.h"
#include "train/grpo.h"
#include "train/reply_group.h"

namespace l2a {

// inner_epochs x minibatches optimizer steps on `trained`. The policy that sampled is taken from
// the trainer's own log-probabilities before the first of them, not from the sampler's, unless
// old_log_probs says so: the first ratio is exactly 1; how far the two are apart is reported.
// `reference` is the start model, null without a KL penalty in the loss.
//
// Returns what metrics.jsonl says of it: loss, kl, entropy, clipped share, gradient norm,
// learning rate, tokens; null where no group had variance and no step was taken.
Json update_policy(std::span<const ReplyGroup> groups, const TrainerSetup& setup,
                   const TrainedWeights* reference, const GrpoOptions& options,
                   TrainedWeights& trained, TrainingRun& run);

}  // namespace l2a
