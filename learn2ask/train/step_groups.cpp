#include "train/step_groups.h"

#include <algorithm>
#include <iterator>

#include <fmt/format.h>

#include "base/rng.h"
#include "train/background_grading.h"
#include "train/meter.h"

namespace l2a {
namespace {

SessionPointers with_groups(std::span<const LabelledSession> sessions,
                            const ReplyOptions& options) {
  SessionPointers out;
  for (const auto& session : sessions) {
    const bool has_group =
        std::any_of(session.samples.begin(), session.samples.end(),
                    [&](const Sample& sample) { return is_trained_on(sample, options); });
    if (has_group) out.push_back(&session);
  }
  return out;
}

// How many contexts are without their oldest turns. Throws Failure for one that is too long:
// before the first step.
size_t count_cut_contexts(const SessionPointers& sessions, const TrainerSetup& setup,
                          const ReplyOptions& options) {
  size_t count = 0;
  for (const auto* session : sessions) {  // one at a time: all contexts together may be gigabytes
    const auto groups = make_groups({session}, setup, options);
    count += std::count_if(groups.begin(), groups.end(),
                           [](const ReplyGroup& group) { return group.turns_cut > 0; });
  }
  return count;
}

// The step's batch of sessions and, for dynamic sampling, rounds of others, shuffled.
std::vector<std::vector<size_t>> session_rounds(size_t sessions, const ReplyOptions& options,
                                                uint64_t seed, int64_t step) {
  std::vector<std::vector<size_t>> rounds;
  rounds.push_back(sessions_of_step(sessions, options.sessions_per_step, seed, step));
  if (options.dynamic_rounds == 0) return rounds;
  std::vector<bool> in_batch(sessions, false);
  for (const size_t i : rounds.front()) in_batch[i] = true;
  std::vector<size_t> others;
  for (size_t i = 0; i < sessions; ++i) {
    if (!in_batch[i]) others.push_back(i);
  }
  Rng::stream(seed, "sessions of dynamic sampling", static_cast<uint64_t>(step)).shuffle(others);
  const auto batch = static_cast<size_t>(options.sessions_per_step);
  for (size_t i = 0; i < others.size(); ++i) {
    if (i % batch == 0) {
      if (std::ssize(rounds) > options.dynamic_rounds) break;
      rounds.emplace_back();
    }
    rounds.back().push_back(others[i]);
  }
  return rounds;
}

// The grader was asked, and failed each time.
bool is_down(const std::vector<ReplyGroup>& groups) {
  bool was_asked = false;
  for (const ReplyGroup& group : groups) {
    for (const RewardResult& result : group.results) {
      if (result.by_rule) continue;
      if (result.reward) return false;
      was_asked = true;
    }
  }
  return was_asked;
}

// Samples replies to the groups and has them graded.
SamplingCost sample_and_grade(std::vector<ReplyGroup>& groups, const TrainerSetup& setup,
                              const RewardFn& reward, const TrainedWeights& trained,
                              const DecodingOptions& decoding, int64_t max_rows) {
  Stopwatch watch(setup.clock);
  SamplingCost cost;
  if (setup.grade_while_sampling) {
    BackgroundGrading grading(reward);
    const auto on_group = [&](size_t i, const std::vector<Rollout>& replies) {
      grading.add(i, reward_requests(groups[i], replies));
    };
    cost.most_bytes =
        sample_groups(groups, setup, trained, decoding, max_rows, on_group).most_bytes;
    cost.sample_seconds = watch.lap();
    for (auto& [i, results] : grading.finish()) groups[i].results = std::move(results);
  } else {
    cost.most_bytes = sample_groups(groups, setup, trained, decoding, max_rows).most_bytes;
    cost.sample_seconds = watch.lap();
    grade_groups(groups, reward);
  }
  cost.grade_seconds = watch.lap();
  for (const ReplyGroup& group : groups) {
    for (const Rollout& reply : group.replies) cost.tokens += reply.ids.size();
  }
  return cost;
}

void add_to(SamplingCost& sum, const SamplingCost& part) {
  sum.sample_seconds += part.sample_seconds;
  sum.grade_seconds += part.grade_seconds;
  sum.tokens += part.tokens;
  sum.most_bytes = std::max(sum.most_bytes, part.most_bytes);
}

}  // namespace

SampledSessions sampled_sessions(const TrainerSetup& setup,
                                 std::span<const LabelledSession> sessions,
                                 std::span<const LabelledSession> held_out,
                                 const ReplyOptions& options, const LoopOptions& loop) {
  SampledSessions out{.trained = with_groups(sessions, options),
                      .held_out = with_groups(held_out, options)};
  if (out.trained.empty()) fail_input("train: sessions: none has a labelled sample to train on");
  check_held_out(loop, !held_out.empty(), !out.held_out.empty());
  note_cut_contexts(setup, "training", count_cut_contexts(out.trained, setup, options));
  note_cut_contexts(setup, "held-out", count_cut_contexts(out.held_out, setup, options));
  return out;
}

void note_long_experts(const TrainerSetup& setup, const SessionPointers& sessions,
                       const ExpertTurns& turns, const ReplyOptions& options) {
  size_t count = 0;
  for (const LabelledSession* session : sessions) {
    for (const Sample& sample : session->samples) {
      if (!is_trained_on(sample, options)) continue;
      const auto expert = expert_reply(*session, sample, setup, turns);
      count += expert && std::ssize(expert->ids) > options.max_reply_tokens;
    }
  }
  if (count == 0) return;
  setup.events.note(
      fmt::format("expert's replies of more than max_reply_tokens={}, which are left out: {}",
                  options.max_reply_tokens, count));
}

HeldOutScore greedy_reward(const SessionPointers& sessions, const TrainerSetup& setup,
                           const RewardFn& reward, const ReplyOptions& options, uint64_t seed,
                           const TrainedWeights& trained) {
  if (sessions.empty()) return {};
  return [&sessions, &setup, &reward, &options, seed, &trained](Json& metrics) {
    auto groups = make_groups(sessions, setup, options);
    sample_and_grade(groups, setup, reward, trained,
                     {.max_reply_tokens = options.max_reply_tokens, .seed = seed},
                     options.max_rows);
    const MeanReward mean = mean_reward(groups, options.max_failure_rate);
    metrics["held_out_unscored"] = mean.unscored;
    return mean.reward;
  };
}

StepGroups collect_groups(const SessionPointers& sessions, uint64_t seed, int64_t step,
                          const TrainerSetup& setup, const RewardFn& reward,
                          const ReplyOptions& options, const TrainedWeights& trained) {
  auto seeds = Rng::stream(seed, "replies", static_cast<uint64_t>(step));
  StepGroups out;
  size_t wanted = 0, varied = 0;
  for (const auto& round : session_rounds(sessions.size(), options, seed, step)) {
    SessionPointers chosen;
    for (const size_t i : round) chosen.push_back(sessions[i]);
    auto groups = make_groups(chosen, setup, options);
    add_to(out.cost, sample_and_grade(groups, setup, reward, trained,
                                      {.temperature = options.temperature,
                                       .max_reply_tokens = options.max_reply_tokens,
                                       .replies = options.group_size,
                                       .seed = seeds.next()},
                                      options.max_rows));
    const bool down = is_down(groups);
    for (ReplyGroup& group : groups) {
      group.zero_variance = !has_variance(group, options);
      if (!group.zero_variance) ++varied;
    }
    out.groups.insert(out.groups.end(), std::make_move_iterator(groups.begin()),
                      std::make_move_iterator(groups.end()));
    if (wanted == 0) wanted = out.groups.size();
    if (varied >= wanted || down) break;
  }
  return out;
}

Json step_time(const SamplingCost& cost, double update_seconds, int64_t trained_tokens) {
  return {{"sample", cost.sample_seconds},
          {"grade", cost.grade_seconds},
          {"update", update_seconds},
          {"kv_mib", static_cast<double>(cost.most_bytes) / (1 << 20)},
          {"sampled_tokens_per_s", static_cast<double>(cost.tokens) / cost.sample_seconds},
          {"trained_tokens_per_s", static_cast<double>(trained_tokens) / update_seconds}};
}

}  // namespace l2a
