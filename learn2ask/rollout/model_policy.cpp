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

ModelPolicy::ModelPolicy(std::string name, const Transformer& model, const LoraAdapter* adapter,
                         const ChatTemplate& chat, std::string system_prompt)
    : name_(std::move(name)),
      model_(model),
      adapter_(adapter),
      chat_(chat),
      system_prompt_(std::move(system_prompt)) {}

std::vector<std::vector<Reply>> ModelPolicy::reply(std::span<const Context> contexts,
                                                   const DecodingOptions& options) {
  std::vector<RolloutSession> sessions;
  for (size_t i = 0; i < contexts.size(); ++i) {
    const Context& context = contexts[i];
    if (i == 0 || session_of(context.id) != session_of(contexts[i - 1].id)) sessions.emplace_back();
    auto ids = chat_.context_ids(system_prompt_, context.turns);
    if (static_cast<int64_t>(ids.size()) + options.max_reply_tokens >
        model_.config().max_positions) {
      fail_input(fmt::format(
          "policy {}: context {}: {} tokens and a reply of {} exceed the model's {} positions",
          name_, context.id, ids.size(), options.max_reply_tokens, model_.config().max_positions));
    }
    sessions.back().contexts.push_back(std::move(ids));
    sessions.back().keys.push_back(stable_hash(context.id));
  }

  auto rollouts = sample_rollouts(model_, adapter_, chat_, sessions, options);

  std::vector<std::vector<Reply>> replies;
  for (auto& session : rollouts) {
    for (auto& context : session) {
      std::vector<Reply> mine;
      for (Rollout& r : context) mine.push_back({std::move(r.text), r.truncated});
      replies.push_back(std::move(mine));
    }
  }
  return replies;
}

}  // namespace l2a
