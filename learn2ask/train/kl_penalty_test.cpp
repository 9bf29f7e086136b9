#include "train/kl_penalty.h"

#include <cmath>
#include <vector>

#include <gtest/gtest.h>
#include <torch/types.h>

namespace l2a {
namespace {

TEST(KlEstimate, IsUnbiasedForK1AndK3AndNeverNegativeForK3) {
  // Two distributions over 5 tokens; expectations under the policy, exactly.
  const std::vector<double> p = {0.1, 0.3, 0.2, 0.25, 0.15}, ref = {0.2, 0.2, 0.25, 0.05, 0.3};
  const auto p_n = torch::tensor(p, torch::kDouble), ref_n = torch::tensor(ref, torch::kDouble);
  double truth = 0;
  for (size_t i = 0; i < p.size(); ++i) truth += p[i] * std::log(p[i] / ref[i]);
  for (const char* estimator : {"k1", "k3"}) {
    const auto k_n = kl_estimate(estimator, p_n.log(), ref_n.log());
    EXPECT_NEAR((p_n * k_n).sum().item<double>(), truth, 1e-12) << estimator;
  }
  EXPECT_GE(kl_estimate("k3", p_n.log(), ref_n.log()).min().item<double>(), 0);
  EXPECT_NEAR(kl_estimate("k2", p_n.log(), ref_n.log())[0].item<double>(),
              0.5 * std::pow(std::log(0.5), 2), 1e-12);
}

}  // namespace
}  // namespace l2a
