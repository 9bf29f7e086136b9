// Private to this module.
#pragma once

#include <cmath>

#include "rollout/sampler.h"

namespace l2a {

// Of a row's softmax before it is divided by its sum. A logit that is NaN or +inf makes it NaN; a
// row of -inf alone sums to 0.
inline void check_mass(double mass) {
  if (!(std::isfinite(mass) && mass > 0)) {
    throw NotFiniteLogits({ErrorCode::kInvalidInput,
                           "sampling: logits: not finite (the weights or the adapter are broken)"});
  }
}

}  // namespace l2a
