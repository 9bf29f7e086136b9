#include "train/reward_fn.h"

#include <cmath>
#include <iterator>

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

std::vector<std::vector<RewardResult>> grade_lists(const RewardFn& reward,
                                                   std::span<const RewardRequests> lists) {
  RewardRequests all;
  for (const RewardRequests& list : lists) all.insert(all.end(), list.begin(), list.end());
  auto results = grade(reward, all);
  std::vector<std::vector<RewardResult>> graded;
  auto next = std::make_move_iterator(results.begin());
  for (const RewardRequests& list : lists) {
    const auto end = next + static_cast<std::ptrdiff_t>(list.size());
    graded.emplace_back(next, end);
    next = end;
  }
  return graded;
}

}  // namespace l2a
