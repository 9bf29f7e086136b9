#include "rollout/model_policy.h"

#include <utility>

#include <fmt/format.h>

#include "base/error.h"
#include "base/rng.h"

namespace l2a {
namespace {

// "35310" of "35310/7"; an id without a turn is a session of its own.
std::string_view session_of(std::string_view context_id) {
  return context_id.substr(0, context_id.rfind('/'));
}

}  // namespace

ModelPolicy::ModelPolicy(std::string name, const Transformer& model, const TrainedWeights* trained,
                         ContextWindow window)
    : name_(std::move(name)), model_(model), trained_(trained), window_(std::move(window)) {}

std::vector<std::vector<Reply>> ModelPolicy::reply(std::span<const Context> contexts,
                                                   const DecodingOptions& options) {
  std::vector<RolloutSession> sessions;
  std::vector<size_t> turns_cut;  // by context
  for (size_t i = 0; i < contexts.size(); ++i) {
    const Context& context = contexts[i];
    if (i == 0 || session_of(context.id) != session_of(contexts[i - 1].id)) sessions.emplace_back();
    auto view = window_.view(context.turns, options.max_reply_tokens);
    if (!view) {
      fail_input(fmt::format("policy {}: context {}: {}", name_, context.id, view.error().message));
    }
    turns_cut.push_back(view->turns_cut);
    sessions.back().contexts.push_back(std::move(view->ids));
    sessions.back().keys.push_back(stable_hash(context.id));
  }

  auto rollouts = sample_rollouts(model_, trained_, window_.chat(), sessions, options);

  std::vector<std::vector<Reply>> replies;
  for (auto& session : rollouts) {
    for (auto& context : session) {
      std::vector<Reply> mine;
      for (Rollout& r : context) {
        mine.push_back({std::move(r.text), r.truncated, turns_cut[replies.size()]});
      }
      replies.push_back(std::move(mine));
    }
  }
  return replies;
}

}  // namespace l2a
