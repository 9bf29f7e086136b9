#include <torch/types.h>

#include "train/objectives.h"

namespace l2a {

ObjectiveTerms cispo_objective(const PolicyTokens& tokens, const RatioClip& clip) {
  const auto ratio_n = (tokens.log_prob_n.detach() - tokens.old_n).exp();
  const auto weight_n = ratio_n.clamp(1 - clip.low, 1 + clip.high);
  return {-weight_n * tokens.advantage_n * tokens.log_prob_n, weight_n.ne(ratio_n)};
}

}  // namespace l2a
