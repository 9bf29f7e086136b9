#include "train/grpo.h"

#include <memory>
#include <vector>

#include "train/grpo_update.h"
#include "train/meter.h"
#include "train/reply_advantages.h"
#include "train/reward_shaping.h"
#include "train/step_groups.h"

namespace l2a {
namespace {

void check_options(const GrpoOptions& options, ReplyFormat format) {
  if (options.loss.objective == "reinforce" && options.inner_epochs * options.minibatches > 1) {
    fail_input(
        "train grpo: loss.objective: reinforce is the gradient of the policy that sampled (set "
        "inner_epochs: 1 and minibatches: 1, or another objective)");
  }
  if (options.credit == "parts" && options.advantage == "parts") {
    fail_input(
        "train grpo: credit: parts and advantage: parts take the reward apart in two ways (set one "
        "of them to something else)");
  }
  if (options.credit == "parts" && format != ReplyFormat::kPlain) {
    fail_input(
        "train grpo: credit: parts is for plain replies, whose first token stops or goes on (leave "
        "it at reply, or set policy.reply_format=plain)");
  }
  const bool divides = options.advantage == "std" || options.advantage == "parts";
  if (options.loss.kl_in_reward() && divides) {
    fail_input(
        "train grpo: loss.kl_in: reward: not with advantage: " + options.advantage +
        ", which divides by a group's deviation: where all rewards are equal that is the KL's own, "
        "whatever its weight (set advantage to mean, leave_one_out or batch)");
  }
  if (options.overlong_buffer > options.replies.max_reply_tokens) {
    fail_input("train grpo: overlong_buffer: larger than max_reply_tokens (set it to less)");
  }
}

}  // namespace

TrainResult train_grpo(const TrainerSetup& setup, std::span<const LabelledSession> sessions,
                       std::span<const LabelledSession> held_out, const RewardFn& reward,
                       const GrpoOptions& options, TrainedWeights& trained) {
  check_options(options, setup.format);
  const auto chosen = sampled_sessions(setup, sessions, held_out, options.replies, options.loop);
  if (options.sft_weight > 0) {
    note_long_experts(setup, chosen.trained, options.turns, options.replies);
  }
  const auto evaluate =
      greedy_reward(chosen.held_out, setup, reward, options.replies, options.loop.seed, trained);
  std::unique_ptr<TrainedWeights> reference;  // the start
  if (options.loss.kl_weight > 0) reference = trained.clone();

  AdamW optimizer(trained.parameters(), options.optimizer);
  TrainingRun run(setup, options.loop, options.optimizer, options.steps, trained, optimizer);
  while (run.goes_on()) {
    auto [groups, cost] = run.sampled([&] {
      return collect_groups(chosen.trained, options.loop.seed, run.step(), setup, reward,
                            options.replies, trained);
    });
    Stopwatch watch(setup.clock);
    const TrainedWeights* const start = reference.get();
    const auto kl = shape_rewards(groups, setup, start, trained, options);
    set_advantages(groups, options);
    log_groups(groups, run);
    watch_failures(groups, options.replies.max_failure_rate, run.recent_unscored());

    Json metrics = {{"step", run.step() + 1}};
    metrics.update(reply_metrics(groups));
    std::erase_if(groups,
                  [&](const ReplyGroup& group) { return is_left_out(group, options.replies); });
    metrics.update(update_policy(groups, setup, options.loss.kl_in_loss() ? start : nullptr,
                                 options, trained, run));
    if (kl) metrics["kl"] = *kl;
    run.end_step(
        metrics,
        step_time(cost, watch.lap(), metrics["tokens"].get<int64_t>() * options.inner_epochs),
        evaluate);
  }
  return run.finish();
}

}  // namespace l2a
