#include "dialogue/action.h"

#include "base/json.h"
#include "base/utf8.h"

namespace l2a {
namespace {

Error malformed(const std::string& why) {
  return {ErrorCode::kInvalidInput, "reply: malformed: " + why};
}

Result<Action> question(std::string text) {
  if (text.find(kStopText) != text.npos) return malformed("stop text beside other text");
  return Action{Decision::kContinue, std::move(text)};
}

Result<Action> parse_tuple(const std::string& text) {
  const auto json = parse_json(text);
  if (!json) return malformed(json.error().message);
  const auto state = get_string(*json, "state");
  if (!state) return malformed(state.error().message);
  if (*state == "stop") {
    if (json->size() != 1) return malformed("a stop with other keys");
    return Action{Decision::kStop, ""};
  }
  if (*state != "continue") {
    return malformed("'state': expected continue or stop, got '" + shown(*state) + "'");
  }
  const auto ask = get_string(*json, "ask");
  if (!ask) return malformed(ask.error().message);
  if (json->size() != 2) return malformed("keys other than 'state' and 'ask'");
  std::string asked = trim(*ask);
  if (asked.empty()) return malformed("'ask': empty");
  return question(std::move(asked));
}

}  // namespace

const char* decision_name(Decision decision) {
  return decision == Decision::kContinue ? "continue" : "stop";
}

std::optional<Decision> decision_from_name(std::string_view name) {
  for (const Decision decision : {Decision::kContinue, Decision::kStop}) {
    if (name == decision_name(decision)) return decision;
  }
  return std::nullopt;
}

Result<ReplyFormat> reply_format_from_name(std::string_view name) {
  if (name == "plain") return ReplyFormat::kPlain;
  if (name == "tuple") return ReplyFormat::kTuple;
  return Error{ErrorCode::kInvalidInput,
               "reply format: expected plain or tuple, got '" + shown(name) + "'"};
}

Result<Action> parse_reply(const Reply& reply, ReplyFormat format) {
  if (reply.truncated) return malformed("cut at the token limit");
  if (const auto bad = find_bad_utf8(reply.text)) {
    return malformed("byte " + std::to_string(*bad + 1) + ": invalid UTF-8");
  }
  if (reply.text.find('\0') != reply.text.npos) return malformed("NUL");
  std::string text = trim(reply.text);
  if (text.empty()) return malformed("empty");
  if (format == ReplyFormat::kTuple) return parse_tuple(text);
  if (text == kStopText) return Action{Decision::kStop, ""};
  return question(std::move(text));
}

Action parse_reply_compat(const Reply& reply) {
  if (reply.text.find(kStopText) != reply.text.npos) return {Decision::kStop, ""};
  return {Decision::kContinue, trim(reply.text)};
}

std::string render_action(const Action& action, ReplyFormat format) {
  const bool stop = action.decision == Decision::kStop;
  if (format == ReplyFormat::kPlain) return stop ? std::string(kStopText) : action.question;
  if (stop) return R"({"state":"stop"})";
  return dump_json(Json{{"state", "continue"}, {"ask", action.question}});
}

}  // namespace l2a
