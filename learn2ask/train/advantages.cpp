#include "train/advantages.h"

#include <torch/types.h>

#include "base/error.h"

namespace l2a {
namespace {

constexpr double kEpsilon = 1e-6;

// double; 0 where unscored. Sums of float32 rewards are exact in double, so that the mean of equal
// ones is that reward. where, not a product: an unscored reward may be NaN.
at::Tensor centred(const at::Tensor& reward_pg, const at::Tensor& scored_pg,
                   const at::Tensor& count_p1) {
  const auto r_pg = at::where(scored_pg, reward_pg.to(at::kFloat).to(at::kDouble), 0.0);
  const auto mean_p1 = r_pg.sum(1, /*keepdim=*/true) / count_p1.clamp_min(1);
  return at::where(scored_pg, r_pg - mean_p1, 0.0);
}

// Of numbers whose mean is 0, over all groups.
at::Tensor batch_deviation(const at::Tensor& centred_pg, const at::Tensor& count_p1) {
  return (centred_pg.square().sum() / count_p1.sum().clamp_min(1)).sqrt();
}

at::Tensor in_double(const at::Tensor& reward_pg, const at::Tensor& scored_pg, Advantage kind) {
  const auto count_p1 = scored_pg.to(at::kDouble).sum(1, /*keepdim=*/true);
  const auto centred_pg = centred(reward_pg, scored_pg, count_p1);
  switch (kind) {
    case Advantage::kGroupStd: {
      const auto std_p1 =
          (centred_pg.square().sum(1, /*keepdim=*/true) / count_p1.clamp_min(1)).sqrt();
      return centred_pg / (std_p1 + kEpsilon);
    }
    case Advantage::kGroupMean:
      break;
    case Advantage::kLeaveOneOut:  // r - (sum - r) / (n - 1) = (r - mean) n / (n - 1)
      return centred_pg * count_p1 / (count_p1 - 1).clamp_min(1);
    case Advantage::kBatchStd:
      return centred_pg / (batch_deviation(centred_pg, count_p1) + kEpsilon);
    case Advantage::kBest: {
      const auto best_p1 = centred_pg.amax(1, /*keepdim=*/true);
      return (centred_pg.eq(best_p1) & best_p1.gt(0) & scored_pg).to(at::kDouble);
    }
  }
  return centred_pg;
}

}  // namespace

at::Tensor group_advantages(const at::Tensor& reward_pg, const at::Tensor& scored_pg,
                            Advantage kind) {
  return in_double(reward_pg, scored_pg, kind).to(at::kFloat);
}

at::Tensor gdpo_advantages(std::span<const RewardPart> parts, const at::Tensor& scored_pg) {
  check(!parts.empty(), "gdpo_advantages: no parts");
  auto sum_pg = at::zeros(scored_pg.sizes(), at::kDouble);
  for (const RewardPart& part : parts) {
    sum_pg += part.weight * in_double(part.reward_pg, scored_pg, Advantage::kGroupStd);
  }
  const auto count_p1 = scored_pg.to(at::kDouble).sum(1, /*keepdim=*/true);
  return (sum_pg / (batch_deviation(sum_pg, count_p1) + kEpsilon)).to(at::kFloat);
}

at::Tensor zero_variance_groups(const at::Tensor& advantage_pg) {
  return advantage_pg.eq(0).all(/*dim=*/1);
}

}  // namespace l2a
