// The rows of one optimizer step of GRPO.
#pragma once

#include <span>
#include <vector>

#include "train/grpo.h"
#include "train/reply_group.h"
#include "train/rows.h"

namespace l2a {

// The rows of a minibatch that move the policy: a group's sampled replies, then the expert's. What
// does not apply to a row is 0: weights of a sampled reply's tokens, the imitation of an expert's.
struct PolicyRows {
  std::vector<TrainingRow> rows;
  std::vector<double> advantages, first_advantages;  // of a row's tokens, and of the first
  std::vector<double> token_weights;                 // row_token_weights, over all rows that count
  std::vector<double> imitation_weights;             // of each token; they sum to sft_weight
  std::vector<std::vector<float>> sampled;  // the sampler's log-probabilities; an expert's: none

  bool is_expert(size_t row) const { return sampled[row].empty(); }
};

// Replies that don't count are left out; where nothing but advantages pulls, also the rows of
// groups with zero variance, which still count in the normaliser: leaving them out changes nothing
// but the time. With sft_weight also the expert's replies, but those longer than replies are.
PolicyRows policy_rows(std::span<const ReplyGroup> groups, const TrainerSetup& setup,
                       const GrpoOptions& options);

}  // namespace l2a
