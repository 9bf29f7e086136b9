// The loss of the tokens of sampled replies: an objective, a KL penalty, an entropy bonus. A pure
// function of tensors; the loop that calls it is grpo.h.
//
// Shape suffixes: n tokens of replies, row after row.
#pragma once

#include <string>

#include <ATen/core/Tensor.h>

#include "base/config.h"
#include "train/objectives.h"

namespace l2a {

struct PolicyLossOptions {
  std::string objective = "clip";  // objectives.h
  double clip = 0.2;
  double clip_high = 0;  // 0: as `clip`
  std::string normalise = "row";
  // Weight of the KL penalty to the start model, in nats per token. 0 turns it off, and no
  // reference is then computed.
  double kl_weight = 0;
  std::string kl = "k3";
  // loss: a term of each token. reward: taken off the reply's reward, by the policy that sampled,
  // before its group is compared.
  std::string kl_in = "loss";
  double entropy_weight = 0;

  template <class Visitor>
  void visit(Visitor& v) {
    v.choice("objective", objective, {"clip", "gspo", "cispo", "reinforce"},
             "clip: PPO's, GRPO's and DAPO's; gspo: one ratio a reply; cispo: clipped weights; "
             "reinforce: no ratio, one update a step");
    v("clip", clip, Range{1e-6, 1}, "the policy ratio is clipped to 1 - clip ...");
    v("clip_high", clip_high, Range{0, 100}, "... and to 1 + clip_high; 0: as clip");
    v.choice("normalise", normalise, {"row", "token", "constant"},
             "mean per reply first, over all tokens, or sum per reply / max_reply_tokens first");
    v("kl_weight", kl_weight, Range{0, 10}, "KL penalty to the start model; 0: none");
    v.choice("kl", kl, {"k1", "k2", "k3"}, "estimator of the KL");
    v.choice("kl_in", kl_in, {"loss", "reward"}, "where the KL penalty goes");
    v("entropy_weight", entropy_weight, Range{0, 10},
      "bonus for the entropy of the policy; 0: none");
  }

  RatioClip ratio_clip() const { return {clip, clip_high > 0 ? clip_high : clip}; }
  bool kl_in_loss() const { return kl_weight > 0 && kl_in == "loss"; }
  bool kl_in_reward() const { return kl_weight > 0 && kl_in == "reward"; }
  // Whether a reply whose advantage is 0 still pulls.
  bool pulls_without_advantage() const { return kl_in_loss() || entropy_weight > 0; }
};

struct PolicyLossInputs {
  PolicyTokens tokens;
  at::Tensor entropy_n;    // of the policy, nats; carries the gradient of the bonus
  at::Tensor reference_n;  // log-probabilities of the start model; undefined without kl_in_loss()
  at::Tensor weight_n;     // row_token_weights at each token
};

struct PolicyLossOutput {
  at::Tensor loss;     // scalar, to be minimised
  double kl = 0;       // weighted sum of the estimate, nats; 0 without kl_in_loss()
  double clipped = 0;  // weight of the tokens whose terms the clip changes
};

// sum of weight * (objective + kl_weight KL - entropy_weight entropy).
PolicyLossOutput policy_loss(const PolicyLossInputs& in, const PolicyLossOptions& options);

}  // namespace l2a
