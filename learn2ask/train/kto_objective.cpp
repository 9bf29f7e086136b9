#include <torch/types.h>

#include "train/preference_objectives.h"

namespace l2a {

at::Tensor kto_objective(const at::Tensor& ratio_r, const at::Tensor& desirable_r, double kl,
                         double beta) {
  const auto gain_r = beta * (ratio_r - kl);
  return 1 - at::sigmoid(at::where(desirable_r, gain_r, -gain_r));
}

}  // namespace l2a
