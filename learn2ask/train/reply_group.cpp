#include "train/reply_group.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/rng.h"

namespace l2a {
namespace {

constexpr size_t kFailureWindow = 200;

template <class Visit>
void for_each_reply(const std::vector<ReplyGroup>& groups, const Visit& visit) {
  for (const ReplyGroup& group : groups) {
    for (size_t g = 0; g < group.replies.size(); ++g) visit(group, g);
  }
}

Reply reply_of(const Rollout& rollout) { return {rollout.text, rollout.truncated}; }

// A sum and its count; the mean of nothing is null, not 0.
struct Mean {
  double sum = 0;
  size_t count = 0;
  void add(double x) {
    sum += x;
    ++count;
  }
  Json json() const { return count == 0 ? Json() : Json(sum / static_cast<double>(count)); }
};

}  // namespace

bool is_trained_on(const Sample& sample, const ReplyOptions& options) {
  return is_labelled(sample) && (options.empty_targets || !has_empty_target(sample));
}

std::optional<ExpertReply> expert_reply(const ReplyGroup& group, const TrainerSetup& setup,
                                        const ExpertTurns& turns, const ReplyOptions& options) {
  auto expert = expert_reply(*group.session, *group.sample, setup, turns);
  if (expert && std::ssize(expert->ids) > options.max_reply_tokens) return std::nullopt;
  return expert;
}

std::vector<ReplyGroup> make_groups(const SessionPointers& sessions, const TrainerSetup& setup,
                                    const ReplyOptions& options) {
  std::vector<ReplyGroup> groups;
  for (const LabelledSession* session : sessions) {
    for (const Sample& sample : session->samples) {
      if (!is_trained_on(sample, options)) continue;
      auto view =
          setup.window.view(std::span(session->turns).first(sample.turn), options.max_reply_tokens);
      if (!view) {
        fail_input(fmt::format("train: {}: {}", sample_id(*session, sample), view.error().message));
      }
      ReplyGroup group;
      group.session = session;
      group.sample = &sample;
      group.context = std::move(view->ids);
      group.turns_cut = view->turns_cut;
      groups.push_back(std::move(group));
    }
  }
  return groups;
}

RolloutCost sample_groups(std::vector<ReplyGroup>& groups, const TrainerSetup& setup,
                          const TrainedWeights& trained, const DecodingOptions& decoding,
                          int64_t max_rows, const OnGroup& on_group) {
  std::vector<RolloutSession> sessions;
  std::vector<size_t> first_groups;  // of each session
  for (size_t i = 0; i < groups.size(); ++i) {
    if (i == 0 || groups[i].session != groups[i - 1].session) {
      sessions.emplace_back();
      first_groups.push_back(i);
    }
    sessions.back().contexts.push_back(groups[i].context);
    sessions.back().keys.push_back(stable_hash(sample_id(*groups[i].session, *groups[i].sample)));
  }
  OnReplies on_replies;
  if (on_group) {
    on_replies = [&](size_t session, size_t context, const std::vector<Rollout>& replies) {
      on_group(first_groups[session] + context, replies);
    };
  }
  RolloutCost cost;
  auto rollouts = sample_rollouts(setup.model, &trained, setup.window.chat(), sessions, decoding,
                                  max_rows, &cost, on_replies);
  size_t i = 0;
  for (auto& session : rollouts) {
    for (auto& replies : session) groups[i++].replies = std::move(replies);
  }
  return cost;
}

RewardRequests reward_requests(const ReplyGroup& group, const std::vector<Rollout>& replies) {
  RewardRequests requests;
  for (const Rollout& reply : replies) {
    requests.push_back({group.session, group.sample, reply_of(reply)});
  }
  return requests;
}

void grade_groups(std::vector<ReplyGroup>& groups, const RewardFn& reward) {
  std::vector<RewardRequests> requests;
  for (const ReplyGroup& group : groups) requests.push_back(reward_requests(group, group.replies));
  auto results = grade_lists(reward, requests);
  for (size_t i = 0; i < groups.size(); ++i) groups[i].results = std::move(results[i]);
}

bool counts(const ReplyGroup& group, size_t reply, const ReplyOptions& options) {
  return group.results[reply].reward && !(options.mask_truncated && group.replies[reply].truncated);
}

TrainingRow training_row(const ReplyGroup& group, const std::vector<int32_t>& reply,
                         int64_t group_index) {
  TrainingRow row{.ids = group.context,
                  .context = static_cast<int64_t>(group.context.size()),
                  .group = group_index};
  row.ids.insert(row.ids.end(), reply.begin(), reply.end());
  return row;
}

bool has_variance(const ReplyGroup& group, const ReplyOptions& options) {
  std::optional<double> first;
  for (size_t g = 0; g < group.replies.size(); ++g) {
    if (!counts(group, g, options)) continue;
    if (!first) first = group.results[g].reward;
    if (*group.results[g].reward != *first) return true;
  }
  return false;
}

bool is_left_out(const ReplyGroup& group, const ReplyOptions& options) {
  return options.dynamic_rounds > 0 && !has_variance(group, options);
}

void watch_failures(std::span<const RewardResult> results, double max_rate, std::string& recent) {
  for (const RewardResult& result : results) {
    if (result.by_rule) continue;  // its grader may be down and nobody would know
    recent += result.reward ? '0' : '1';
    if (recent.size() > kFailureWindow) recent.erase(0, recent.size() - kFailureWindow);
    const auto unscored = std::count(recent.begin(), recent.end(), '1');
    if (static_cast<double>(unscored) <= max_rate * kFailureWindow) continue;
    fail(ErrorCode::kUnavailable,
         fmt::format("train: grader: {} of the last {} replies that it was to grade could not be "
                     "graded, last: {} "
                     "(the run is paused: mend the grader and run the same command again; "
                     "failures.jsonl lists them)",
                     unscored, recent.size(), result.note));
  }
}

void watch_failures(const std::vector<ReplyGroup>& groups, double max_rate, std::string& recent) {
  for (const ReplyGroup& group : groups) watch_failures(group.results, max_rate, recent);
}

MeanReward mean_reward(const std::vector<ReplyGroup>& groups, double max_rate) {
  Mean reward;
  size_t unscored = 0, to_grade = 0;
  std::string reason = "no reply was asked for";
  for_each_reply(groups, [&](const ReplyGroup& group, size_t g) {
    const RewardResult& result = group.results[g];
    to_grade += !result.by_rule;
    if (result.reward) {
      reward.add(*result.reward);
    } else {
      ++unscored;
      reason = result.note;
    }
  });
  const double limit = max_rate * static_cast<double>(to_grade);
  if (reward.count == 0 || static_cast<double>(unscored) > limit) {
    fail(ErrorCode::kUnavailable,
         fmt::format("train: grader: {} of {} held-out replies could not be graded, last: {} (the "
                     "run is paused: mend the grader and run the same command again)",
                     unscored, to_grade, reason));
  }
  return {reward.sum / static_cast<double>(reward.count), unscored};
}

Json reply_metrics(const std::vector<ReplyGroup>& groups) {
  Mean reward, macro, micro, form, malformed, stops, length, zero_variance;
  size_t unscored = 0;
  for_each_reply(groups, [&](const ReplyGroup& group, size_t g) {
    const RewardResult& result = group.results[g];
    const Rollout& rollout = group.replies[g];
    stops.add(result.stops ? 1 : 0);
    malformed.add(result.malformed ? 1 : 0);
    length.add(static_cast<double>(rollout.ids.size()));
    if (!result.reward) {
      ++unscored;
      return;
    }
    reward.add(*result.reward);
    macro.add(result.macro);
    micro.add(result.micro);
    form.add(result.format);
  });
  for (const ReplyGroup& group : groups) zero_variance.add(group.zero_variance ? 1 : 0);
  return {{"groups", groups.size()},
          {"replies", length.count},
          {"reward", reward.json()},
          {"macro", macro.json()},
          {"micro", micro.json()},
          {"format", form.json()},
          {"zero_variance_groups", zero_variance.json()},
          {"reply_tokens", length.json()},
          {"malformed", malformed.json()},
          {"unscored", unscored},
          {"stops", stops.json()}};
}

void log_groups(const std::vector<ReplyGroup>& groups, TrainingRun& run) {
  for_each_reply(groups, [&](const ReplyGroup& group, size_t g) {
    const RewardResult& result = group.results[g];
    Json row = {{"step", run.step() + 1},
                {"context", sample_id(*group.session, *group.sample)},
                {"reply", g},
                {"text", group.replies[g].text},
                {"truncated", group.replies[g].truncated}};
    if (group.turns_cut > 0) row["turns_cut"] = group.turns_cut;
    if (!result.reward) {
      row["reason"] = result.note;
      run.log_failure(row);
      return;
    }
    row["reward"] = *result.reward;
    row["macro"] = result.macro;
    row["micro"] = result.micro;
    row["format"] = result.format;
    row["malformed"] = result.malformed;
    if (!group.shaping.empty() && group.shaping[g] != 0) row["shaping"] = group.shaping[g];
    if (!group.advantages.empty()) {
      row["advantage"] = group.advantages[g];
      if (group.first_advantages[g] != group.advantages[g]) {
        row["first_advantage"] = group.first_advantages[g];
      }
    }
    row["note"] = result.note;
    run.log_rollout(row);
  });
}

}  // namespace l2a
