#include "hindsight/stop_rules.h"

#include <algorithm>

namespace l2a {
namespace {

// The rule by which turn `t` stops; nullptr when it does not.
const char* stop_rule(const StopEvidence& evidence, size_t t) {
  const Turn& turn = evidence.turns[t];
  if (evidence.labels[t] == TurnKind::kStop) return "act_label";
  const bool marked = std::any_of(
      evidence.markers.begin(), evidence.markers.end(),
      [&](const std::string& marker) { return turn.text.find(marker) != turn.text.npos; });
  if (marked) return "terminal_marker";
  if (t + 1 < evidence.turns.size()) return nullptr;
  if (evidence.stop_seen == true) return "stop_seen";
  return evidence.asking[t].value ? nullptr : "no_user_message_after";
}

std::optional<Decision> decided_at(const StopEvidence& evidence, size_t t) {
  return evidence.decided.empty() ? std::nullopt : evidence.decided[t];
}

}  // namespace

StopFound find_stop(const StopEvidence& evidence) {
  StopFound found;
  std::optional<size_t> last;  // expert turn after a user message
  bool user_spoke = false;
  for (size_t t = 0; t < evidence.turns.size(); ++t) {
    user_spoke = user_spoke || evidence.turns[t].role == Role::kUser;
    if (!user_spoke || evidence.turns[t].role == Role::kUser) continue;
    last = t;
    const auto decided = decided_at(evidence, t);
    if (decided == Decision::kStop) return {.turn = t, .rule = "override", .censored_turn = {}};
    if (decided == Decision::kContinue || evidence.stop_seen == false) continue;
    if (const char* rule = stop_rule(evidence, t)) {
      found.turn = t;
      found.rule = rule;
      return found;
    }
  }
  if (last && decided_at(evidence, *last)) return found;
  if (last && (evidence.stop_seen == false || evidence.asking[*last].value)) {
    found.censored_turn = last;
  }
  return found;
}

StopFound find_stop_compat(std::span<const Turn> turns) {
  StopFound found;
  const bool expert_last = turns.size() > 1 && turns.back().role == Role::kAssistant;
  if (expert_last) {  // roles alternate: a user turn stands before it
    found.turn = turns.size() - 1;
    found.rule = "no_user_message_after";
  }
  return found;
}

std::optional<size_t> first_with_nothing_to_follow(std::span<const Sample> samples) {
  size_t first = samples.size();
  while (first > 0 && samples[first - 1].wanted && samples[first - 1].wanted->empty()) --first;
  if (first == samples.size()) return std::nullopt;
  return first;
}

}  // namespace l2a
