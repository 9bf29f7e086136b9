#include <torch/types.h>

#include "train/objectives.h"

namespace l2a {

ObjectiveTerms gspo_objective(const PolicyTokens& tokens, const RatioClip& clip) {
  const auto gap_n = tokens.log_prob_n - tokens.old_n;
  std::vector<at::Tensor> ratios;
  for (const auto& of_row : gap_n.split_with_sizes(at::IntArrayRef(tokens.tokens_of_row))) {
    ratios.push_back(of_row.mean().exp().expand_as(of_row));
  }
  return clip_terms(at::cat(ratios), tokens.advantage_n, clip);
}

}  // namespace l2a
