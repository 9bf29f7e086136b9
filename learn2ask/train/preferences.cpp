#include "train/preferences.h"

#include <algorithm>
#include <optional>
#include <string>
#include <utility>

#include "base/error.h"

namespace l2a {
namespace {

struct GradedReply {
  std::vector<int32_t> ids;
  std::vector<float> log_probs;  // the sampler's
  double reward = 0;
};

void append(const ReplyGroup& group, int64_t index, GradedReply reply, bool good, double weight,
            JudgedReplies& out) {
  out.rows.push_back(training_row(group, reply.ids, index));
  out.good.push_back(good);
  out.weights.push_back(weight);
  out.log_probs.push_back(std::move(reply.log_probs));
}

// Those that count.
std::vector<GradedReply> sampled_replies(const ReplyGroup& group, const ReplyOptions& options) {
  std::vector<GradedReply> out;
  for (size_t g = 0; g < group.replies.size(); ++g) {
    if (!counts(group, g, options)) continue;
    out.push_back({group.replies[g].ids, group.replies[g].log_probs, *group.results[g].reward});
  }
  return out;
}

// One a group; nullopt where there is none that could be chosen.
std::vector<std::optional<GradedReply>> expert_replies(std::span<const ReplyGroup> groups,
                                                       const TrainerSetup& setup,
                                                       const RewardFn& reward,
                                                       const DpoOptions& options,
                                                       JudgedReplies& judged) {
  std::vector<std::optional<GradedReply>> out(groups.size());
  std::vector<RewardRequest> requests;
  std::vector<size_t> asked;  // the requests' groups
  for (size_t i = 0; i < groups.size(); ++i) {
    const ReplyGroup& group = groups[i];
    auto expert = expert_reply(group, setup, options.turns, options.replies);
    if (!expert) continue;
    out[i] = GradedReply{.ids = std::move(expert->ids), .log_probs = {}};
    requests.push_back({group.session, group.sample, {std::move(expert->text), false}});
    asked.push_back(i);
  }
  judged.expert_results = grade(reward, requests);
  const auto& results = judged.expert_results;
  for (size_t r = 0; r < asked.size(); ++r) {
    if (results[r].reward) {
      out[asked[r]]->reward = *results[r].reward;
    } else {
      out[asked[r]].reset();
      judged.expert_failures.push_back(
          {{"context", sample_id(*requests[r].session, *requests[r].sample)},
           {"reply", "expert"},
           {"text", requests[r].reply.text},
           {"reason", results[r].note}});
    }
  }
  return out;
}

// Good is what earned more than the mean, bad what earned less.
void judge_each(const ReplyGroup& group, int64_t index, std::vector<GradedReply> replies,
                const DpoOptions& options, JudgedReplies& out) {
  double sum = 0;
  for (const auto& reply : replies) sum += reply.reward;
  // Rounded as advantages are: rewards that are alike equal their mean.
  const auto mean = static_cast<float>(sum / static_cast<double>(replies.size()));
  const double weight = options.weights.of(group.sample->decision->value);
  for (auto& reply : replies) {
    const auto reward = static_cast<float>(reply.reward);
    if (reward == mean) continue;
    const bool good = reward > mean;
    const double of_kind = good ? options.desirable_weight : options.undesirable_weight;
    append(group, index, std::move(reply), good, weight * of_kind, out);
  }
}

// `expert`: nullopt where the best reply is chosen.
void judge_pair(const ReplyGroup& group, int64_t index, const std::vector<GradedReply>& replies,
                const std::optional<GradedReply>& expert, const DpoOptions& options,
                JudgedReplies& out) {
  const auto [worst, best] = std::minmax_element(
      replies.begin(), replies.end(),
      [](const GradedReply& x, const GradedReply& y) { return x.reward < y.reward; });
  const GradedReply& chosen = expert ? *expert : *best;
  if (chosen.reward <= worst->reward) return;
  const double weight = options.weights.of(group.sample->decision->value);
  append(group, index, chosen, true, weight, out);
  append(group, index, *worst, false, weight, out);
}

}  // namespace

JudgedReplies judge_replies(std::span<const ReplyGroup> groups, const TrainerSetup& setup,
                            const RewardFn& reward, const DpoOptions& options) {
  const bool by_expert = options.pairs == "expert";
  JudgedReplies out;
  std::vector<std::optional<GradedReply>> experts(groups.size());
  if (by_expert) experts = expert_replies(groups, setup, reward, options, out);
  for (size_t i = 0; i < groups.size(); ++i) {
    auto replies = sampled_replies(groups[i], options.replies);
    if (replies.empty() || (by_expert && !experts[i])) continue;
    const auto index = static_cast<int64_t>(i);
    if (options.objective == "kto") {
      judge_each(groups[i], index, std::move(replies), options, out);
    } else {
      judge_pair(groups[i], index, replies, experts[i], options, out);
    }
  }
  return out;
}

}  // namespace l2a
