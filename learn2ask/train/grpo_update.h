// The optimizer steps on one step's graded groups.
#pragma once

#include <span>
#include <vector>

#include "base/json.h"
#include "train/reply_group.h"
#include "train/rows.h"

namespace l2a {

// The rows of a minibatch that move the policy, row after row.
struct PolicyRows {
  std::vector<TrainingRow> rows;
  std::vector<double> advantages, first_advantages;  // of a row's tokens, and of the first
  std::vector<double> token_weights;                 // row_token_weights, over all rows that count
  std::vector<std::vector<float>> sampled;           // the sampler's log-probabilities
};

// Replies that don't count are left out; where nothing but advantages pulls, also the rows of
// groups with zero variance, which still count in the normaliser: leaving them out changes nothing
// but the time.
PolicyRows policy_rows(std::span<const ReplyGroup> groups, const GrpoOptions& options);

// inner_epochs x minibatches optimizer steps on `adapter`. The policy that sampled is taken from
// the trainer's own log-probabilities before the first of them, not from the sampler's: the
// first ratio is exactly 1; how far the two are apart is reported. `reference` is the start
// model, null without a KL penalty in the loss.
//
// Returns what metrics.jsonl says of it: loss, kl, entropy, clipped share, gradient norm,
// learning rate, tokens; null where no group had variance and no step was taken.
Json update_policy(std::span<const ReplyGroup> groups, const TrainerSetup& setup,
                   const LoraAdapter* reference, const GrpoOptions& options, LoraAdapter& adapter,
                   TrainingRun& run);

}  // namespace l2a
