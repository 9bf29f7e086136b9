// Estimates of the KL divergence to the start model from sampled tokens. Pure.
#pragma once

#include <string>

#include <ATen/core/Tensor.h>

namespace l2a {

// The estimator of KL(policy || reference) for each token, in nats; differentiable in
// `log_prob_n`.
// k1: log p - log ref. Unbiased, but as a loss its expected gradient is 0: for the reward.
// k2: half its square; as a loss its gradient is that of the KL.
// k3: ref/p - 1 - log(ref/p): never negative, low variance; GRPO's.
// Source: J. Schulman, "Approximating KL divergence", 2020.
at::Tensor kl_estimate(const std::string& estimator, const at::Tensor& log_prob_n,
                       const at::Tensor& reference_n);

}  // namespace l2a
