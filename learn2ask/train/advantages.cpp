#include "train/advantages.h"

#include <torch/torch.h>

namespace l2a {

at::Tensor group_advantages(const at::Tensor& reward_pg, const at::Tensor& scored_pg,
                            AdvantageScale scale) {
  // Sums of float32 rewards are exact in double, so that the mean of equal ones is that reward.
  const auto w_pg = scored_pg.to(at::kDouble);
  const auto n_p1 = w_pg.sum(1, /*keepdim=*/true).clamp_min(1);
  // where, not a product: an unscored reward may be NaN.
  const auto r_pg = at::where(scored_pg, reward_pg.to(at::kFloat).to(at::kDouble), 0.0);
  const auto mean_p1 = r_pg.sum(1, true) / n_p1;
  auto centered_pg = (r_pg - mean_p1) * w_pg;
  if (scale == AdvantageScale::kStd) {
    const auto std_p1 = (centered_pg.square().sum(1, true) / n_p1).sqrt();
    centered_pg = centered_pg / (std_p1 + 1e-6);
  }
  return centered_pg.to(at::kFloat);
}

at::Tensor zero_variance_groups(const at::Tensor& advantage_pg) {
  return advantage_pg.eq(0).all(/*dim=*/1);
}

}  // namespace l2a
