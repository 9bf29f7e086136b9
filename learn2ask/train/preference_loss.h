// The loss of judged replies: an objective of preference_objectives.h and the imitation of good
// ones. A pure function of tensors; the step that calls it is dpo_update.h.
//
// Shape suffixes: n tokens of replies, row after row; r replies.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include <ATen/core/Tensor.h>

namespace l2a {

struct PreferenceInputs {
  at::Tensor log_prob_n;                   // of the policy, nats; carries the gradient
  std::span<const int64_t> tokens_of_row;  // of each reply; they sum to n
  at::Tensor reference_r;                  // log p of the reply by the start model
  at::Tensor good_r;                       // bool; in pairs for all but kto, the good one first
  at::Tensor weight_r;                     // of the reply's term; a pair's is that of its first
};

struct PreferenceSettings {
  std::string objective;  // dpo, ipo, kto
  double beta = 0.1;
  double kl = 0;                // with kto
  double imitation_weight = 0;  // of each token of a good reply
};

struct PreferenceLoss {
  at::Tensor loss;     // scalar, to be minimised
  at::Tensor ratio_r;  // log-ratio of each reply, nats; no gradient
};

PreferenceLoss preference_loss(const PreferenceInputs& in, const PreferenceSettings& settings);

// The sum of each row's values; differentiable.
at::Tensor sums_of_rows(const at::Tensor& value_n, std::span<const int64_t> tokens_of_row);

}  // namespace l2a
