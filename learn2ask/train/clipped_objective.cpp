#include <torch/types.h>

#include "train/objectives.h"

namespace l2a {

ObjectiveTerms clip_terms(const at::Tensor& ratio_n, const at::Tensor& advantage_n,
                          const RatioClip& clip) {
  const auto free_n = ratio_n * advantage_n;
  const auto held_n = ratio_n.clamp(1 - clip.low, 1 + clip.high) * advantage_n;
  return {-at::minimum(free_n, held_n), held_n.lt(free_n)};
}

ObjectiveTerms clipped_objective(const PolicyTokens& tokens, const RatioClip& clip) {
  return clip_terms((tokens.log_prob_n - tokens.old_n).exp(), tokens.advantage_n, clip);
}

}  // namespace l2a
