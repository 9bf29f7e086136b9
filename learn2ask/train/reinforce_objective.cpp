#include <torch/types.h>

#include "train/objectives.h"

namespace l2a {

ObjectiveTerms reinforce_objective(const PolicyTokens& tokens) {
  return {-tokens.advantage_n * tokens.log_prob_n,
          at::zeros_like(tokens.log_prob_n, tokens.log_prob_n.options().dtype(at::kBool))};
}

}  // namespace l2a
