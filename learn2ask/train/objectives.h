// How the tokens of sampled replies pull at the policy: the objectives of the GRPO family, as pure
// functions of tensors, one file each. The loss that is made of them is policy_loss.h.
//
// Shape suffixes: n tokens of replies, row after row.
#pragma once

#include <cstdint>
#include <span>

#include <ATen/core/Tensor.h>

namespace l2a {

// All [n], of one floating type.
struct PolicyTokens {
  at::Tensor log_prob_n;                   // of the policy, nats; carries the gradient
  at::Tensor old_n;                        // of the policy that sampled, no gradient
  at::Tensor advantage_n;                  // of the token's reply
  std::span<const int64_t> tokens_of_row;  // of each reply; they sum to n
};

// The ratio of the policy to the one that sampled is held in [1 - low, 1 + high].
struct RatioClip {
  double low = 0.2, high = 0.2;
};

struct ObjectiveTerms {
  at::Tensor loss_n;     // of each token, to be minimised
  at::Tensor clipped_n;  // bool: the clip changes the token's term
};

// -min(ratio A, clip(ratio) A), for ratios of any kind.
ObjectiveTerms clip_terms(const at::Tensor& ratio_n, const at::Tensor& advantage_n,
                          const RatioClip& clip);

// The same, the ratio of each token. PPO, arXiv 1707.06347, eq. 7; GRPO, arXiv
// 2402.03300, eq. 3; with high > low that of DAPO, arXiv 2503.14476, eq. 8.
ObjectiveTerms clipped_objective(const PolicyTokens& tokens, const RatioClip& clip);

// The same with one ratio for all tokens of a reply, the geometric mean of theirs. GSPO, arXiv
// 2507.18071, eq. 5 and 7; ratios are near 1, and so must the clip be (the paper: 3e-4 and 4e-4).
ObjectiveTerms gspo_objective(const PolicyTokens& tokens, const RatioClip& clip);

// -clip(ratio) A log p, no gradient through the ratio: a token whose ratio is clipped still pulls.
// CISPO, arXiv 2506.13585, eq. 4 and 5.
ObjectiveTerms cispo_objective(const PolicyTokens& tokens, const RatioClip& clip);

// -A log p: the policy gradient itself (Williams 1992), of the policy that sampled and no other.
ObjectiveTerms reinforce_objective(const PolicyTokens& tokens);

}  // namespace l2a
