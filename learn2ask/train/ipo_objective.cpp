#include <torch/types.h>

#include "train/preference_objectives.h"

namespace l2a {

at::Tensor ipo_objective(const at::Tensor& chosen_p, const at::Tensor& rejected_p, double beta) {
  return (chosen_p - rejected_p - 1 / (2 * beta)).square();
}

}  // namespace l2a
