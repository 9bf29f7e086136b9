#include "train/dpo.h"

#include "train/dpo_update.h"
#include "train/meter.h"
#include "train/step_groups.h"

namespace l2a {

TrainResult train_dpo(const TrainerSetup& setup, std::span<const LabelledSession> sessions,
                      std::span<const LabelledSession> held_out, const RewardFn& reward,
                      const DpoOptions& options, TrainedWeights& trained) {
  if (options.objective == "kto" && options.pairs == "expert") {
    fail_input(
        "train dpo: objective: kto judges each reply by itself (leave pairs at sampled, or choose "
        "another objective)");
  }
  if (options.pairs == "expert" && options.replies.dynamic_rounds > 0) {
    fail_input(
        "train dpo: dynamic_rounds: looks for groups whose replies earn differently, and with "
        "pairs: expert the others give pairs as well (leave one of the two out)");
  }
  const auto chosen = sampled_sessions(setup, sessions, held_out, options.replies, options.loop);
  if (options.pairs == "expert") {
    note_long_experts(setup, chosen.trained, options.turns, options.replies);
  }
  const auto evaluate =
      greedy_reward(chosen.held_out, setup, reward, options.replies, options.loop.seed, trained);
  const auto reference = trained.clone();

  AdamW optimizer(trained.parameters(), options.optimizer);
  TrainingRun run(setup, options.loop, options.optimizer, options.steps, trained, optimizer);
  while (run.goes_on()) {
    auto [groups, cost] = run.sampled([&] {
      return collect_groups(chosen.trained, options.loop.seed, run.step(), setup, reward,
                            options.replies, trained);
    });
    Stopwatch watch(setup.clock);
    log_groups(groups, run);
    watch_failures(groups, options.replies.max_failure_rate, run.recent_unscored());
    const JudgedReplies judged = judge_replies(groups, setup, reward, options);
    cost.grade_seconds += watch.lap();  // of the experts' replies
    for (const Json& failure : judged.expert_failures) {
      Json row = {{"step", run.step() + 1}};
      row.update(failure);
      run.log_failure(row);
    }
    watch_failures(judged.expert_results, options.replies.max_failure_rate, run.recent_unscored());

    Json metrics = {{"step", run.step() + 1}};
    metrics.update(reply_metrics(groups));
    metrics.update(update_preferences(judged, setup, *reference, options, trained, run));
    run.end_step(metrics, step_time(cost, watch.lap(), metrics["tokens"]), evaluate);
  }
  return run.finish();
}

}  // namespace l2a
