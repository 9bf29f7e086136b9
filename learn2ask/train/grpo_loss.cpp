#include "train/grpo_loss.h"

#include <torch/torch.h>

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

std::vector<double> row_token_weights(const std::string& normalise, std::span<const int64_t> tokens,
                                      const std::vector<bool>& scored) {
  check(tokens.size() == scored.size(), "row_token_weights: one length a row");
  const bool by_row = normalise == "row";
  double rows = 0, total = 0;
  for (size_t r = 0; r < tokens.size(); ++r) {
    if (!scored[r]) continue;
    rows += 1;
    total += static_cast<double>(tokens[r]);
  }
  std::vector<double> weights(tokens.size(), 0.0);
  for (size_t r = 0; r < tokens.size(); ++r) {
    if (scored[r]) weights[r] = 1 / (by_row ? rows * static_cast<double>(tokens[r]) : total);
  }
  return weights;
}

GrpoLossOutput grpo_loss(const GrpoLossInputs& in, const GrpoLossOptions& options) {
  const auto ratio_n = (in.log_prob_n - in.old_n).exp();
  const auto free_n = ratio_n * in.advantage_n;
  const auto held_n = ratio_n.clamp(1 - options.clip, 1 + options.clip) * in.advantage_n;
  auto term_n = -at::minimum(free_n, held_n);

  GrpoLossOutput out;
  out.clipped = (held_n.lt(free_n).to(at::kFloat) * in.weight_n).sum().item<double>();
  if (options.kl_weight > 0) {
    const auto kl_n = kl_estimate(options.kl, in.log_prob_n, in.reference_n);
    out.kl = (kl_n.detach() * in.weight_n).sum().item<double>();
    term_n = term_n + options.kl_weight * kl_n;
  }
  out.loss = (term_n * in.weight_n).sum();
  return out;
}

}  // namespace l2a
