#include "train/preference_loss.h"

#include <vector>

#include <torch/types.h>

#include "base/error.h"
#include "train/preference_objectives.h"

namespace l2a {
namespace {

// [pairs], of the first or the second of each.
at::Tensor of_pairs(const at::Tensor& value_r, int64_t which) {
  return value_r.view({-1, 2}).select(1, which);
}

at::Tensor weighted_objective(const PreferenceInputs& in, const at::Tensor& ratio_r,
                              const PreferenceSettings& s) {
  if (s.objective == "kto") {
    return in.weight_r * kto_objective(ratio_r, in.good_r, s.kl, s.beta);
  }
  const auto weight_p = of_pairs(in.weight_r, 0);
  if (s.objective == "dpo") {
    return weight_p * dpo_objective(of_pairs(ratio_r, 0), of_pairs(ratio_r, 1), s.beta);
  }
  check(s.objective == "ipo", "preference_loss: unknown objective");
  const std::vector<int64_t> tokens(in.tokens_of_row.begin(), in.tokens_of_row.end());
  const auto mean_r = ratio_r / torch::tensor(tokens).to(ratio_r.options());
  return weight_p * ipo_objective(of_pairs(mean_r, 0), of_pairs(mean_r, 1), s.beta);
}

}  // namespace

PreferenceLoss preference_loss(const PreferenceInputs& in, const PreferenceSettings& settings) {
  const auto log_prob_r = sums_of_rows(in.log_prob_n, in.tokens_of_row);
  const auto ratio_r = log_prob_r - in.reference_r;
  auto loss = weighted_objective(in, ratio_r, settings).sum();
  if (settings.imitation_weight > 0) {
    loss = loss - settings.imitation_weight * (log_prob_r * in.good_r).sum();
  }
  return {.loss = loss, .ratio_r = ratio_r.detach()};
}

at::Tensor sums_of_rows(const at::Tensor& value_n, std::span<const int64_t> tokens_of_row) {
  std::vector<at::Tensor> sums;
  for (const auto& row : value_n.split_with_sizes({tokens_of_row.data(), tokens_of_row.size()})) {
    sums.push_back(row.sum());
  }
  return at::stack(sums);
}

}  // namespace l2a
