#include "train/grpo.h"

#include <algorithm>
#include <chrono>
#include <optional>
#include <vector>

#include <fmt/format.h>

#include "base/rng.h"
#include "train/grpo_update.h"
#include "train/meter.h"
#include "train/reply_group.h"
#include "train/reward_shaping.h"
#include "train/step_groups.h"

namespace l2a {
namespace {

std::vector<const LabelledSession*> with_groups(std::span<const LabelledSession> sessions,
                                                bool empty_targets) {
  std::vector<const LabelledSession*> out;
  for (const auto& session : sessions) {
    for (const Sample& sample : session.samples) {
      if (!is_labelled(sample) || (has_empty_target(sample) && !empty_targets)) continue;
      out.push_back(&session);
      break;
    }
  }
  return out;
}

// How many contexts are without their oldest turns. Throws Failure for one that is too long:
// before the first step.
size_t count_cut_contexts(std::span<const LabelledSession* const> sessions,
                          const TrainerSetup& setup, const GrpoOptions& options) {
  size_t count = 0;
  for (const auto& session : sessions) {  // one at a time: all contexts together may be gigabytes
    const auto groups = make_groups(std::span(&session, 1), setup, options);
    count += std::count_if(groups.begin(), groups.end(),
                           [](const ReplyGroup& group) { return group.turns_cut > 0; });
  }
  return count;
}

// Mean reward of one greedy reply at each held-out turn.
double evaluate_greedy(std::span<const LabelledSession* const> sessions, const TrainerSetup& setup,
                       const RewardFn& reward, const GrpoOptions& options,
                       const LoraAdapter& adapter) {
  auto groups = make_groups(sessions, setup, options);
  sample_groups(groups, setup, adapter,
                {.max_reply_tokens = options.max_reply_tokens, .seed = options.loop.seed},
                options.max_rows);
  grade_groups(groups, reward);
  return mean_reward(groups);
}

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
  if (options.overlong_buffer > options.max_reply_tokens) {
    fail_input("train grpo: overlong_buffer: larger than max_reply_tokens (set it to less)");
  }
}

double sampled_tokens(const std::vector<ReplyGroup>& groups) {
  size_t tokens = 0;
  for (const auto& group : groups) {
    for (const auto& reply : group.replies) tokens += reply.ids.size();
  }
  return static_cast<double>(tokens);
}

}  // namespace

TrainResult train_grpo(const TrainerSetup& setup, std::span<const LabelledSession> sessions,
                       std::span<const LabelledSession> held_out, const RewardFn& reward,
                       const GrpoOptions& options, LoraAdapter& adapter) {
  check_options(options, setup.format);
  const auto trained = with_groups(sessions, options.empty_targets);
  const auto held = with_groups(held_out, options.empty_targets);
  if (trained.empty()) fail_input("train grpo: sessions: none has a labelled sample to train on");
  note_cut_contexts(setup, count_cut_contexts(trained, setup, options));
  count_cut_contexts(held, setup, options);
  std::function<double()> evaluate;
  if (!held.empty()) {
    evaluate = [&] { return evaluate_greedy(held, setup, reward, options, adapter); };
  }
  std::optional<LoraAdapter> reference;
  if (options.loss.kl_weight > 0) reference = adapter.clone();

  AdamW optimizer(adapter.parameters(), options.optimizer);
  TrainingRun run(setup, options.loop, options.optimizer, options.steps, adapter, optimizer);
  while (run.goes_on()) {
    auto [groups, seconds] = collect_groups(trained, run.step(), setup, reward, options, adapter);
    Stopwatch watch(setup.clock);
    const LoraAdapter* const start = reference ? &*reference : nullptr;
    const auto kl = shape_rewards(groups, setup, start, adapter, options);
    set_advantages(groups, options);
    log_groups(groups, run);
    watch_failures(groups, options.max_failure_rate, run.recent_unscored());

    const double sampled = sampled_tokens(groups);
    Json metrics = {{"step", run.step() + 1}};
    metrics.update(reply_metrics(groups, setup.format));
    if (options.dynamic_rounds > 0) {
      std::erase_if(groups, [](const ReplyGroup& group) { return group.zero_variance; });
    }
    metrics.update(update_policy(groups, setup, options.loss.kl_in_loss() ? start : nullptr,
                                 options, adapter, run));
    if (kl) metrics["kl"] = *kl;
    const double updating = watch.lap();

    run.end_step(metrics,
                 {{"sample", seconds.sampling},
                  {"grade", seconds.grading},
                  {"update", updating},
                  {"sampled_tokens_per_s", sampled / seconds.sampling},
                  {"trained_tokens_per_s", metrics["tokens"].get<double>() / updating}},
                 evaluate);
  }
  return run.finish();
}

}  // namespace l2a
