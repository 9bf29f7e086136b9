#include "train/step_groups.h"

#include <algorithm>
#include <iterator>

#include "base/rng.h"
#include "train/meter.h"

namespace l2a {
namespace {

// The step's batch of sessions and, for dynamic sampling, the others after it, shuffled.
std::vector<size_t> session_order(size_t sessions, const GrpoOptions& options, int64_t step) {
  auto order = sessions_of_step(sessions, options.sessions_per_step, options.loop.seed, step);
  if (options.dynamic_rounds == 0) return order;
  std::vector<bool> in_batch(sessions, false);
  for (const size_t i : order) in_batch[i] = true;
  std::vector<size_t> others;
  for (size_t i = 0; i < sessions; ++i) {
    if (!in_batch[i]) others.push_back(i);
  }
  Rng::stream(options.loop.seed, "sessions of dynamic sampling", static_cast<uint64_t>(step))
      .shuffle(others);
  order.insert(order.end(), others.begin(), others.end());
  return order;
}

bool has_scored(const std::vector<ReplyGroup>& groups) {
  return std::any_of(groups.begin(), groups.end(), [](const ReplyGroup& group) {
    return std::any_of(group.results.begin(), group.results.end(),
                       [](const RewardResult& result) { return result.reward.has_value(); });
  });
}

}  // namespace

StepGroups collect_groups(std::span<const LabelledSession* const> sessions, int64_t step,
                          const TrainerSetup& setup, const RewardFn& reward,
                          const GrpoOptions& options, const LoraAdapter& adapter) {
  auto seeds = Rng::stream(options.loop.seed, "replies", static_cast<uint64_t>(step));
  const std::vector<size_t> order = session_order(sessions.size(), options, step);
  const auto batch = static_cast<size_t>(options.sessions_per_step);
  StepGroups out;
  size_t wanted = 0, varied = 0;
  bool scored = true;  // a reply of the last round: a grader that is down is asked no further
  for (size_t begin = 0; begin < order.size() && scored; begin += batch) {
    std::vector<const LabelledSession*> chosen;
    for (size_t i = begin; i < std::min(begin + batch, order.size()); ++i) {
      chosen.push_back(sessions[order[i]]);
    }
    Stopwatch watch(setup.clock);
    auto groups = make_groups(chosen, setup, options);
    sample_groups(groups, setup, adapter,
                  {.temperature = options.temperature,
                   .max_reply_tokens = options.max_reply_tokens,
                   .replies = options.group_size,
                   .seed = seeds.next()},
                  options.max_rows);
    out.seconds.sampling += watch.lap();
    grade_groups(groups, reward);
    out.seconds.grading += watch.lap();

    scored = has_scored(groups);
    varied += static_cast<size_t>(
        std::count_if(groups.begin(), groups.end(),
                      [&](const ReplyGroup& group) { return has_variance(group, options); }));
    out.groups.insert(out.groups.end(), std::make_move_iterator(groups.begin()),
                      std::make_move_iterator(groups.end()));
    if (begin == 0) wanted = out.groups.size();
    if (varied >= wanted || begin / batch >= static_cast<size_t>(options.dynamic_rounds)) break;
  }
  return out;
}

}  // namespace l2a
