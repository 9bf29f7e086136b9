#include <torch/types.h>

#include "train/preference_objectives.h"

namespace l2a {

at::Tensor dpo_objective(const at::Tensor& chosen_p, const at::Tensor& rejected_p, double beta) {
  return -at::log_sigmoid(beta * (chosen_p - rejected_p));
}

}  // namespace l2a
