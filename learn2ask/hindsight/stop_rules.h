// The stop target s*_t: where the expert had gathered all that he would. DESIGN.md section 1.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "dialogue/session.h"
#include "hindsight/sample.h"

namespace l2a {

// What the rules look at. Views; the owner outlives the call. One entry a turn in each list.
struct StopEvidence {
  std::span<const Turn> turns;
  std::span<const std::optional<TurnKind>> labels;
  std::span<const Ruled<bool>> asking;
  std::span<const std::string> markers;  // none empty
  std::optional<bool> stop_seen;         // Session::stop_seen
  // What a person decided, before all rules; empty: nobody did.
  std::span<const std::optional<Decision>> decided = {};
};

struct StopFound {
  // The turn of the first STOP with its rule; what follows is tail.
  std::optional<size_t> turn;
  std::string rule;
  // The turn without a stop target: the expert's last, where it asks or where the source says that
  // the end of the gathering is not in the log. A session has a stop or this one, or neither (the
  // user has the last word, and the expert's last turn asks nothing).
  std::optional<size_t> censored_turn;
};

// Expert turns before any user message are passed over. First rule that fires at a turn: a person
// decided ("override"); its label says stop ("act_label"); it contains a marker
// ("terminal_marker"); no user message follows and the source says that the end is in the log
// ("stop_seen", an explicit label of the last turn: "Those were my questions. Do you have any?"),
// or the turn asks nothing ("no_user_message_after"). stop_seen == false: no turn stops.
StopFound find_stop(const StopEvidence& evidence);

// The published code's rule: the first expert turn with no user message after it.
StopFound find_stop_compat(std::span<const Turn> turns);

// The first of `samples` from which on every I* is known and empty; nullopt when there is none.
std::optional<size_t> first_with_nothing_to_follow(std::span<const Sample> samples);

}  // namespace l2a
