// Fusing macro reward R_s, micro reward R_a and format P into one number. Pure functions.
// Source: arXiv 2510.25441, and the authors' released workflow for beta and the ablations.
#pragma once

#include <string_view>

#include "base/error.h"

namespace l2a {

enum class Fusion {
  kProduct,    // R_s (1 + beta R_a) + P, range [0, 4]
  kSum,        // R_s + R_a + P, range [0, 3]
  kMacroOnly,  // 3 R_s + P
  kMicroOnly,  // beta R_a + P (with a prompt that has no stop rule)
};
Result<Fusion> fusion_from_name(std::string_view name);  // product, sum, macro-only, micro-only
const char* fusion_name(Fusion fusion);

inline constexpr double kBeta = 2;

// The parts of one scored reply. Where the decision was wrong, micro and format are 0.
struct RewardParts {
  double macro = 0;   // R_s, 0 or 1
  double micro = 0;   // R_a, in [0, 1]
  double format = 0;  // P: 0, 0.5 or 1
};

double fuse(Fusion fusion, const RewardParts& parts);
double max_reward(Fusion fusion);  // of a perfect reply

}  // namespace l2a
