#include "train/kl_penalty.h"

#include <torch/types.h>

#include "base/error.h"

namespace l2a {

at::Tensor kl_estimate(const std::string& estimator, const at::Tensor& log_prob_n,
                       const at::Tensor& reference_n) {
  const auto gap_n = log_prob_n - reference_n;
  if (estimator == "k1") return gap_n;
  if (estimator == "k2") return gap_n.square() / 2;
  check(estimator == "k3", "kl_estimate: unknown estimator");
  return at::expm1(-gap_n) + gap_n;
}

}  // namespace l2a
