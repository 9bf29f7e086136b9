// The clipped policy loss and the KL penalty of GRPO. Pure functions of tensors; the loop that
// calls them is grpo.h.
//
// Shape suffixes: r rows (replies), n their tokens, row after row.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include "base/config.h"

namespace l2a {

struct GrpoLossOptions {
  // The policy ratio is clipped to [1 - clip, 1 + clip].
  double clip = 0.2;
  // Weight of the KL penalty to the start model, in nats per token. 0 turns it off, and no
  // reference is then computed.
  double kl_weight = 0;
  // k1: log p - log ref. Unbiased, but as a loss its expected gradient is 0: for monitoring.
  // k2: half its square; as a loss its gradient is that of the KL.
  // k3: ref/p - 1 - log(ref/p): never negative, low variance; GRPO's.
  // Source: J. Schulman, "Approximating KL divergence", 2020.
  std::string kl = "k3";
  // row: mean over a reply's tokens, then over replies; token: mean over all tokens.
  std::string normalise = "row";

  template <class Visitor>
  void visit(Visitor& v) {
    v("clip", clip, Range{0.001, 1}, "the policy ratio is clipped to 1 -+ clip");
    v("kl_weight", kl_weight, Range{0, 10}, "KL penalty to the start model; 0: none");
    v.choice("kl", kl, {"k1", "k2", "k3"}, "estimator of the KL");
    v.choice("normalise", normalise, {"row", "token"}, "mean per reply first, or over all tokens");
  }
};

// The estimator of KL(policy || reference) for each token, in nats; differentiable in
// `log_prob_n`.
at::Tensor kl_estimate(const std::string& estimator, const at::Tensor& log_prob_n,
                       const at::Tensor& reference_n);

// What each token's loss term is multiplied by: one weight a row, so that the weights of all
// tokens of scored rows sum to 1; 0 for unscored rows. Every row of the normaliser must be
// here, those left out of the backward pass because their advantage is 0 included.
std::vector<double> row_token_weights(const std::string& normalise, std::span<const int64_t> tokens,
                                      const std::vector<bool>& scored);

struct GrpoLossInputs {
  at::Tensor log_prob_n;   // of the policy; carries the gradient
  at::Tensor old_n;        // of the policy that sampled, no gradient
  at::Tensor reference_n;  // of the start model; undefined when kl_weight is 0
  at::Tensor advantage_n;  // its row's, at each token
  at::Tensor weight_n;     // row_token_weights at each token
};

struct GrpoLossOutput {
  at::Tensor loss;     // scalar, to be minimised
  double kl = 0;       // weighted sum of the estimate, nats; 0 without a reference
  double clipped = 0;  // weight of the tokens whose ratio the clip holds back
};

// sum of weight * (-min(ratio A, clip(ratio) A) + kl_weight KL).
// Source: PPO, arXiv 1707.06347, eq. 7; GRPO, arXiv 2402.03300, eq. 3.
GrpoLossOutput grpo_loss(const GrpoLossInputs& in, const GrpoLossOptions& options);

}  // namespace l2a
