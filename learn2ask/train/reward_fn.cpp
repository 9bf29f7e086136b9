#include "train/reward_fn.h"

#include <cmath>

#include "base/error.h"

namespace l2a {

std::vector<RewardResult> grade(const RewardFn& reward, std::span<const RewardRequest> requests) {
  auto results = reward(requests);
  check(results.size() == requests.size(), "grade: one result a request");
  for (RewardResult& result : results) {
    if (!result.reward) continue;
    for (const double x : {*result.reward, result.macro, result.micro, result.format}) {
      if (std::isfinite(x)) continue;
      result.reward.reset();
      result.note = "the reward is not a finite number";
      break;
    }
  }
  return results;
}

}  // namespace l2a
