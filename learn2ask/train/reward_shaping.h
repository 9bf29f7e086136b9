// What is added to replies' rewards before their groups are compared: a penalty for length, a
// penalty for leaving the start model.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "train/grpo.h"
#include "train/reply_group.h"

namespace l2a {

// 0 for replies that leave `buffer` tokens of `longest` free, then down in proportion to -1 for one
// that is cut. Source: DAPO, arXiv 2503.14476, eq. 13.
double overlong_penalty(int64_t tokens, int64_t longest, int64_t buffer);

// Sets ReplyGroup::shaping by options.overlong_buffer and, with kl_in_reward(), by minus kl_weight
// times the KL of the reply's tokens, policy to `reference`. Returns the mean KL a token, where
// that was asked for and a reply counts.
std::optional<double> shape_rewards(std::vector<ReplyGroup>& groups, const TrainerSetup& setup,
                                    const TrainedWeights* reference, const TrainedWeights& trained,
                                    const GrpoOptions& options);

}  // namespace l2a
