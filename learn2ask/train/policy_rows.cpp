#include "train/policy_rows.h"

#include <cstdint>
#include <utility>

#include "train/token_weights.h"

namespace l2a {
namespace {

struct Counted {
  std::vector<double> token_weights;  // of each reply's tokens, over all groups
  std::vector<bool> counts;
};

Counted weigh(std::span<const ReplyGroup> groups, const GrpoOptions& options) {
  Counted out;
  std::vector<int64_t> lengths;
  for (const ReplyGroup& group : groups) {
    for (size_t g = 0; g < group.replies.size(); ++g) {
      lengths.push_back(static_cast<int64_t>(group.replies[g].ids.size()));
      out.counts.push_back(counts(group, g, options.replies));
    }
  }
  out.token_weights = row_token_weights(options.loss.normalise, lengths, out.counts,
                                        options.replies.max_reply_tokens);
  return out;
}

struct Pull {
  double advantage = 0, first_advantage = 0, token_weight = 0;
};

void append(TrainingRow row, const Pull& pull, std::vector<float> sampled, PolicyRows& out) {
  out.rows.push_back(std::move(row));
  out.advantages.push_back(pull.advantage);
  out.first_advantages.push_back(pull.first_advantage);
  out.token_weights.push_back(pull.token_weight);
  out.sampled.push_back(std::move(sampled));
}

// Once all rows are there.
void set_imitation_weights(double sft_weight, PolicyRows& out) {
  int64_t tokens = 0;
  for (size_t r = 0; r < out.rows.size(); ++r) {
    if (out.is_expert(r)) tokens += out.rows[r].targets();
  }
  for (size_t r = 0; r < out.rows.size(); ++r) {
    out.imitation_weights.push_back(out.is_expert(r) ? sft_weight / static_cast<double>(tokens)
                                                     : 0);
  }
}

}  // namespace

PolicyRows policy_rows(std::span<const ReplyGroup> groups, const TrainerSetup& setup,
                       const GrpoOptions& options) {
  const Counted counted = weigh(groups, options);
  PolicyRows out;
  size_t reply = 0;
  for (size_t i = 0; i < groups.size(); ++i) {
    const ReplyGroup& group = groups[i];
    const auto number = static_cast<int64_t>(i);
    const bool idle = group.zero_variance && !options.loss.pulls_without_advantage();
    for (size_t g = 0; g < group.replies.size(); ++g, ++reply) {
      if (idle || !counted.counts[reply]) continue;
      append(training_row(group, group.replies[g].ids, number),
             {.advantage = group.advantages[g],
              .first_advantage = group.first_advantages[g],
              .token_weight = counted.token_weights[reply]},
             group.replies[g].log_probs, out);
    }
    if (options.sft_weight == 0) continue;
    const auto expert = expert_reply(group, setup, options.turns, options.replies);
    if (expert) append(training_row(group, expert->ids, number), {}, {}, out);
  }
  set_imitation_weights(options.sft_weight, out);
  return out;
}

}  // namespace l2a
