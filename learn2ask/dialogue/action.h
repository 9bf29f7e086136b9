// The policy's output: the tuple (action, state assessment), in its two reply formats.
//
//   plain  a question, or exactly `<stop />`
//   tuple  one JSON object with exactly the keys {"state":"continue","ask":"..."}, ask not
//          empty, or {"state":"stop"}, nothing around it
//
// Only white space around a reply is ignored.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/error.h"
#include "dialogue/policy.h"

namespace l2a {

enum class Decision { kContinue, kStop };
const char* decision_name(Decision decision);  // "continue", "stop"
std::optional<Decision> decision_from_name(std::string_view name);

enum class ReplyFormat { kPlain, kTuple };
Result<ReplyFormat> reply_format_from_name(std::string_view name);  // "plain", "tuple"

struct Action {
  Decision decision = Decision::kContinue;
  std::string question;  // what is said to the user; empty iff the decision is to stop
};

inline constexpr std::string_view kStopText = "<stop />";

// Reads a reply. kInvalidInput when it is malformed (stop text with anything else, JSON not of the
// schema, empty, a NUL in it, cut at the token limit): a malformed reply has no decision.
Result<Action> parse_reply(const Reply& reply, ReplyFormat format);

// The published code's reading: a stop iff the text contains `<stop />` anywhere. Empty and
// truncated replies are continue actions there.
Action parse_reply_compat(const Reply& reply);

// The text a policy is trained to give.
std::string render_action(const Action& action, ReplyFormat format);

}  // namespace l2a
