#include "train/reward_shaping.h"

#include <algorithm>
#include <utility>

#include <torch/types.h>

#include "train/kl_penalty.h"
#include "train/rows.h"

namespace l2a {
namespace {

using Place = std::pair<size_t, size_t>;  // of a reply: group, reply

// Takes the KL off; returns its mean a token.
std::optional<double> take_kl_off(std::vector<ReplyGroup>& groups, const TrainerSetup& setup,
                                  const TrainedWeights* reference, const TrainedWeights& trained,
                                  const GrpoOptions& options) {
  std::vector<TrainingRow> rows;
  std::vector<Place> places;
  for (size_t i = 0; i < groups.size(); ++i) {
    for (size_t g = 0; g < groups[i].replies.size(); ++g) {
      if (!counts(groups[i], g, options.replies)) continue;
      rows.push_back(training_row(groups[i], groups[i].replies[g].ids, static_cast<int64_t>(i)));
      places.emplace_back(i, g);
    }
  }
  if (rows.empty()) return std::nullopt;
  double sum = 0, tokens = 0;
  for (const auto& chosen : plan_trees(rows, options.loop.token_budget).trees) {
    const RowTree tree = make_row_tree(rows, chosen);
    const auto log_prob_n =
        frozen_log_probs(setup.model, &trained, tree, options.replies.temperature);
    const auto reference_n =
        frozen_log_probs(setup.model, reference, tree, options.replies.temperature);
    const auto kl_n = kl_estimate(options.loss.kl, log_prob_n, reference_n).to(at::kDouble);
    const auto of_row = kl_n.split_with_sizes(targets_of_rows(tree, rows));
    for (size_t r = 0; r < of_row.size(); ++r) {
      const double kl = of_row[r].sum().item<double>();
      const auto [i, g] = places[tree.rows[r]];
      groups[i].shaping[g] -= options.loss.kl_weight * kl;
      sum += kl;
      tokens += static_cast<double>(of_row[r].numel());
    }
  }
  return sum / tokens;
}

}  // namespace

double overlong_penalty(int64_t tokens, int64_t longest, int64_t buffer) {
  const int64_t over = tokens - (longest - buffer);
  return over <= 0 ? 0 : -std::min(1.0, static_cast<double>(over) / static_cast<double>(buffer));
}

std::optional<double> shape_rewards(std::vector<ReplyGroup>& groups, const TrainerSetup& setup,
                                    const TrainedWeights* reference, const TrainedWeights& trained,
                                    const GrpoOptions& options) {
  for (ReplyGroup& group : groups) {
    group.shaping.assign(group.replies.size(), 0.0);
    if (options.overlong_buffer == 0) continue;
    for (size_t g = 0; g < group.replies.size(); ++g) {
      group.shaping[g] =
          overlong_penalty(static_cast<int64_t>(group.replies[g].ids.size()),
                           options.replies.max_reply_tokens, options.overlong_buffer);
    }
  }
  if (!options.loss.kl_in_reward()) return std::nullopt;
  return take_kl_off(groups, setup, reference, trained, options);
}

}  // namespace l2a
