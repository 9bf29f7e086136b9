// What each token's loss term is multiplied by, so that a step's loss is a mean. Pure.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace l2a {

// One weight a row of `tokens` tokens; 0 for rows that don't count. Every row of the normaliser
// must be here, those left out of the backward pass because their advantage is 0 included.
// - row: mean over a reply's tokens, then over replies (GRPO, arXiv 2402.03300, eq. 3).
// - token: mean over all tokens (DAPO, arXiv 2503.14476, eq. 8).
// - constant: sum over a reply's tokens / `longest`, then mean over replies: as long replies are
//   not held down, the policy learns no length from it (Dr. GRPO, arXiv 2503.20783, section 3.1).
std::vector<double> row_token_weights(const std::string& normalise, std::span<const int64_t> tokens,
                                      const std::vector<bool>& counts, int64_t longest);

}  // namespace l2a
