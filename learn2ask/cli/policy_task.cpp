#include "cli/policy_task.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/rng.h"
#include "calibrate/calibration_item.h"
#include "rollout/model_policy.h"

namespace l2a {

bool is_replied_to(const Sample& sample) {
  return is_labelled(sample) && !has_empty_target(sample);
}

PolicyTask::PolicyTask(PolicySetup& policy, RewardFn reward, Fusion fusion,
                       std::vector<LabelledSession> sessions, size_t contexts,
                       DecodingOptions decoding, uint64_t seed)
    : policy_(policy),
      reward_(std::move(reward)),
      highest_(max_reward(fusion)),
      sessions_(std::move(sessions)),
      decoding_(decoding) {
  decoding_.replies = 1;
  for (const LabelledSession& session : sessions_) {
    for (const Sample& sample : session.samples) {
      if (is_replied_to(sample)) places_.push_back({&session, &sample});
    }
  }
  if (places_.empty()) fail_input("calibrate run --what policy: no labelled turn to reply in");
  Rng::stream(seed, "policy contexts").shuffle(places_);
  places_.resize(std::min(places_.size(), contexts));
  std::sort(places_.begin(), places_.end(), [](const Place& a, const Place& b) {
    return std::pair(a.session, a.sample->turn) < std::pair(b.session, b.sample->turn);
  });
}

std::vector<Outcome> PolicyTask::run(const std::string& prompt, std::span<const size_t> items) {
  policy_.prompt.text = prompt;
  ModelPolicy model(policy_.model_name, policy_.model, nullptr, policy_.window());
  std::vector<size_t> order(items.size());  // contexts of one session together
  for (size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::sort(order.begin(), order.end(), [&](size_t a, size_t b) { return items[a] < items[b]; });
  std::vector<Context> contexts;
  for (const size_t i : order) {
    const auto& [session, sample] = places_[items[i]];
    contexts.push_back(
        {sample_id(*session, *sample), std::span(session->turns).first(sample->turn)});
  }
  const auto replies = model.reply(contexts, decoding_);
  std::vector<RewardRequest> requests;
  for (size_t k = 0; k < order.size(); ++k) {
    const auto& [session, sample] = places_[items[order[k]]];
    requests.push_back({session, sample, replies[k][0]});
  }
  const auto results = grade(reward_, requests);
  std::vector<Outcome> outcomes(items.size());
  for (size_t k = 0; k < order.size(); ++k) {
    if (!results[k].reward) {
      fail(ErrorCode::kUnavailable, "calibrate: a reply to " + contexts[k].id +
                                        " could not be graded: " + results[k].note +
                                        " (run the same command again)");
    }
    outcomes[order[k]] = {1 - *results[k].reward / highest_,
                          fmt::format("{} ({})", requests[k].reply.text, results[k].note)};
  }
  return outcomes;
}

std::vector<SearchItem> PolicyTask::search_items() const {
  std::vector<SearchItem> items;
  for (const Place& place : places_) {
    items.push_back({place.session->id, decision_name(place.sample->decision->value)});
  }
  return items;
}

std::string PolicyTask::describe(const Mistake& mistake) const {
  const auto& [session, sample] = places_[mistake.item];
  Json wanted = Json::array();
  for (const Item& item : *sample->wanted) wanted.push_back(item.question);
  return dump_json({{"conversation", turns_to_json(std::span(session->turns).first(sample->turn))},
                    {"right_decision", decision_name(sample->decision->value)},
                    {"the_expert_still_asked", std::move(wanted)},
                    {"the_model_replied", mistake.outcome.said}});
}

}  // namespace l2a
