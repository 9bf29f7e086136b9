#include "train/reply_advantages.h"

#include <string>
#include <utility>

#include <torch/types.h>

#include "base/error.h"
#include "train/advantages.h"

namespace l2a {
namespace {

// What the replies of all groups earned, [groups, replies].
struct GroupRewards {
  GroupRewards(const std::vector<ReplyGroup>& groups, const GrpoOptions& options) {
    const auto p = static_cast<int64_t>(groups.size()), g = options.replies.group_size;
    counted = at::zeros({p, g}, at::kBool);
    for (at::Tensor* part : {&reward, &shaping, &macro, &micro, &format}) {
      *part = at::zeros({p, g}, at::kDouble);
    }
    for (int64_t i = 0; i < p; ++i) {
      const ReplyGroup& group = groups[static_cast<size_t>(i)];
      if (is_left_out(group, options.replies)) continue;
      for (int64_t j = 0; j < g; ++j) {
        const auto reply = static_cast<size_t>(j);
        if (!counts(group, reply, options.replies)) continue;
        const RewardResult& result = group.results[reply];
        counted[i][j] = true;
        reward[i][j] = *result.reward;
        macro[i][j] = result.macro;
        micro[i][j] = result.micro;
        format[i][j] = result.format;
        if (!group.shaping.empty()) shaping[i][j] = group.shaping[reply];
      }
    }
  }

  at::Tensor counted, reward, shaping, macro, micro, format;
};

Advantage advantage_kind(const std::string& name) {
  if (name == "std") return Advantage::kGroupStd;
  if (name == "mean") return Advantage::kGroupMean;
  if (name == "leave_one_out") return Advantage::kLeaveOneOut;
  if (name == "batch") return Advantage::kBatchStd;
  check(name == "best", "set_advantages: unknown kind");
  return Advantage::kBest;
}

// Of a reply's tokens, and of its first one.
std::pair<at::Tensor, at::Tensor> advantages_of(const GroupRewards& r, const GrpoOptions& options) {
  if (options.advantage == "parts") {
    const RewardPart parts[] = {{r.macro, options.parts.macro},
                                {r.micro, options.parts.micro},
                                {r.format + r.shaping, options.parts.format}};
    const auto all = gdpo_advantages(parts, r.counted);
    return {all, all};
  }
  const Advantage kind = advantage_kind(options.advantage);
  if (options.credit == "reply") {
    const auto all = group_advantages(r.reward + r.shaping, r.counted, kind);
    return {all, all};
  }
  const auto utility = options.parts.micro * r.micro + options.parts.format * r.format;
  return {group_advantages(utility + r.shaping, r.counted, kind),
          group_advantages(options.parts.macro * r.macro, r.counted, kind)};
}

}  // namespace

void set_advantages(std::vector<ReplyGroup>& groups, const GrpoOptions& options) {
  const GroupRewards rewards(groups, options);
  const auto [advantage_pg, first_pg] = advantages_of(rewards, options);
  const auto zero_p = zero_variance_groups(at::cat({advantage_pg, first_pg}, 1));
  for (size_t i = 0; i < groups.size(); ++i) {
    ReplyGroup& group = groups[i];
    const auto row = static_cast<int64_t>(i);
    group.zero_variance = zero_p[row].item<bool>();
    const double weight = options.weights.of(group.sample->decision->value);
    const auto weighted = [&](const at::Tensor& of_pg) {
      const auto of_g = of_pg[row].to(at::kDouble).mul(weight).contiguous();
      const double* const values = of_g.const_data_ptr<double>();
      return std::vector<double>(values, values + of_g.numel());
    };
    group.advantages = weighted(advantage_pg);
    group.first_advantages = weighted(first_pg);
  }
}

}  // namespace l2a
