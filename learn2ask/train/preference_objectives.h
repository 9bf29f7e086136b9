// How pairs of replies, or replies that are good or bad by themselves, pull at the policy: pure
// functions of tensors, one file each. The loop that calls them is dpo.h.
//
// Shape suffixes: p pairs, r replies.
//
// A log-ratio is log p(reply) of the policy minus that of the start model, nats; it carries the
// gradient. `beta` > 0 says how dear it is to leave the start model. Results have the shape of what
// is given, to be minimised.
#pragma once

#include <ATen/core/Tensor.h>

namespace l2a {

// -log sigmoid(beta (chosen - rejected)), of sums over a reply's tokens. DPO, arXiv 2305.18290,
// eq. 7.
at::Tensor dpo_objective(const at::Tensor& chosen_p, const at::Tensor& rejected_p, double beta);

// (chosen - rejected - 1 / (2 beta))^2, of means over a reply's tokens: of sums, as the paper has
// it, the square would grow with replies' lengths (so TRL, by word of the authors). IPO, arXiv
// 2310.12036, eq. 17, its tau is beta.
at::Tensor ipo_objective(const at::Tensor& chosen_p, const at::Tensor& rejected_p, double beta);

// 1 - sigmoid(beta (ratio - kl)) of desirable replies, 1 - sigmoid(beta (kl - ratio)) of the
// others; of sums over a reply's tokens. `kl` >= 0: of the policy from the start model, nats a
// reply, no gradient. KTO, arXiv 2402.01306, eq. 7 without the weights.
at::Tensor kto_objective(const at::Tensor& ratio_r, const at::Tensor& desirable_r, double kl,
                         double beta);

}  // namespace l2a
