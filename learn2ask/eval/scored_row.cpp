#include "eval/scored_row.h"

#include <fmt/format.h>

#include "base/file.h"

namespace l2a {
namespace {

constexpr const char* kFormat = "scored_replies";

// Members of one object. Throws Failure, which the public functions turn into a Result: the
// code then reads like the format.
class Fields {
 public:
  explicit Fields(const Json& object) : object_(object) {}

  bool has(const char* key) const { return object_.contains(key); }
  std::string text(const char* key) const { return get_string(object_, key).value_or_throw(); }
  bool flag(const char* key) const { return get_bool_or(object_, key, false).value_or_throw(); }
  double number(const char* key) const { return get_number(object_, key).value_or_throw(); }
  double share(const char* key) const {
    const double value = number(key);
    if (!(value >= 0 && value <= 1)) fail_input(fmt::format("'{}': outside [0, 1]", key));
    return value;
  }
  size_t count(const char* key) const {
    constexpr size_t kMost = 1'000'000'000;
    return get_index(object_, key, kMost).value_or_throw();
  }
  const Json& object(const char* key) const {
    if (!has(key) || !object_[key].is_object()) {
      fail_input(fmt::format("'{}': expected an object", key));
    }
    return object_[key];
  }
  // The value whose name stands under `key`.
  template <class Enum>
  Enum named(const char* key, std::initializer_list<std::pair<const char*, Enum>> names) const {
    const std::string name = text(key);
    for (const auto& [candidate, value] : names) {
      if (name == candidate) return value;
    }
    fail_input(fmt::format("'{}': '{}' is none of its values", key, name));
  }

 private:
  const Json& object_;
};

Decision decision_at(const Fields& fields, const char* key) {
  return fields.named<Decision>(key,
                                {{"continue", Decision::kContinue}, {"stop", Decision::kStop}});
}

ScoredRow read_row(const Fields& fields) {
  ScoredRow row;
  row.session = fields.text("session");
  row.turn = fields.count("turn");
  row.reply_index = fields.count("reply_index");
  row.kind = fields.named<TurnKind>(
      "kind", {{"ask", TurnKind::kAsk}, {"inform", TurnKind::kInform}, {"stop", TurnKind::kStop}});
  row.truth = decision_at(fields, "truth");
  row.wanted = fields.count("wanted");
  row.reply = {fields.text("reply"), fields.flag("truncated")};
  if (fields.has("turns_cut")) row.reply.turns_cut = fields.count("turns_cut");
  if (fields.has("decision")) {
    row.action = Action{decision_at(fields, "decision"), fields.text("question")};
  }
  row.questions = fields.count("questions");
  row.repeated = fields.flag("repeated");
  if (fields.has("reward")) {
    row.parts = {fields.share("macro"), fields.share("micro"), fields.share("format")};
    row.reward = fields.number("reward");
  }
  row.reason = fields.text("reason");
  row.unrecognised = fields.flag("unrecognised");
  return row;
}

EvaluationFacts read_facts(const Fields& fields) {
  EvaluationFacts facts;
  facts.policy = fields.text("policy");
  facts.role = fields.named<PolicyRole>("role", {{"model", PolicyRole::kModel},
                                                 {"baseline", PolicyRole::kBaseline},
                                                 {"expert", PolicyRole::kExpert}});
  facts.grader = fields.text("grader");
  if (fields.has("trained_by")) facts.trained_by = fields.text("trained_by");
  facts.split = fields.text("split");
  for (const auto& [name, hash] : fields.object("prompts").items()) {
    if (!hash.is_string()) fail_input(fmt::format("'prompts': '{}': expected a string", name));
    facts.prompts.emplace_back(name, hash.get<std::string>());
  }
  const Fields decoding(fields.object("decoding"));
  facts.decoding = {.temperature = decoding.number("temperature"),
                    .top_p = decoding.number("top_p"),
                    .repetition_penalty = decoding.number("repetition_penalty"),
                    .max_reply_tokens = static_cast<int64_t>(decoding.count("max_reply_tokens")),
                    .replies = static_cast<int64_t>(decoding.count("replies")),
                    .seed = decoding.count("seed")};
  const Fields scoring(fields.object("scoring"));
  facts.scoring = {.format = scoring.named<ReplyFormat>(
                       "format", {{"plain", ReplyFormat::kPlain}, {"tuple", ReplyFormat::kTuple}}),
                   .fusion = fusion_from_name(scoring.text("fusion")).value_or_throw(),
                   .compat = scoring.flag("compat")};
  facts.unlabelled = fields.count("unlabelled");
  facts.censored = fields.count("censored");
  facts.dropped_empty = fields.count("dropped_empty");
  return facts;
}

}  // namespace

const char* policy_role_name(PolicyRole role) {
  switch (role) {
    case PolicyRole::kModel:
      return "model";
    case PolicyRole::kBaseline:
      return "baseline";
    case PolicyRole::kExpert:
      return "expert";
  }
  return "";
}

Json to_json(const EvaluationFacts& facts) {
  Json prompts = Json::object();
  for (const auto& [name, hash] : facts.prompts) prompts[name] = hash;
  Json json = {{"policy", facts.policy},
               {"role", policy_role_name(facts.role)},
               {"grader", facts.grader},
               {"split", facts.split},
               {"prompts", prompts},
               {"decoding",
                {{"temperature", facts.decoding.temperature},
                 {"top_p", facts.decoding.top_p},
                 {"repetition_penalty", facts.decoding.repetition_penalty},
                 {"max_reply_tokens", facts.decoding.max_reply_tokens},
                 {"replies", facts.decoding.replies},
                 {"seed", facts.decoding.seed}}},
               {"scoring",
                {{"format", facts.scoring.format == ReplyFormat::kPlain ? "plain" : "tuple"},
                 {"fusion", fusion_name(facts.scoring.fusion)},
                 {"compat", facts.scoring.compat}}},
               {"unlabelled", facts.unlabelled},
               {"censored", facts.censored},
               {"dropped_empty", facts.dropped_empty}};
  if (!facts.trained_by.empty()) json["trained_by"] = facts.trained_by;
  return json;
}

Json to_json(const ScoredRow& row) {
  Json json = {{"session", row.session},
               {"turn", row.turn},
               {"reply_index", row.reply_index},
               {"kind", turn_kind_name(row.kind)},
               {"truth", decision_name(row.truth)},
               {"wanted", row.wanted},
               {"reply", row.reply.text},
               {"truncated", row.reply.truncated}};
  if (row.reply.turns_cut > 0) json["turns_cut"] = row.reply.turns_cut;
  if (row.action) {
    json["decision"] = decision_name(row.action->decision);
    json["question"] = row.action->question;
  }
  json["questions"] = row.questions;
  json["repeated"] = row.repeated;
  if (row.parts) {
    json["macro"] = row.parts->macro;
    json["micro"] = row.parts->micro;
    json["format"] = row.parts->format;
    json["reward"] = *row.reward;
  }
  json["reason"] = row.reason;
  json["unrecognised"] = row.unrecognised;
  return json;
}

Result<EvaluationFacts> facts_from_json(const Json& object) try {
  return read_facts(Fields(object));
} catch (const Failure& failure) {
  return failure.error;
}

Result<ScoredRow> scored_row_from_json(const Json& object) try {
  return read_row(Fields(object));
} catch (const Failure& failure) {
  return failure.error;
}

void write_scored_rows(const std::filesystem::path& path, const Evaluation& evaluation,
                       FileHeader header) {
  header.format = kFormat;
  header.extra["evaluation"] = to_json(evaluation.facts);
  AtomicFile file(path);
  file.write_line(dump_json(to_json(header)));
  for (const ScoredRow& row : evaluation.rows) file.write_line(dump_json(to_json(row)));
  file.commit();
}

Evaluation read_scored_rows(const std::filesystem::path& path) {
  Evaluation evaluation;
  const auto header = for_each_row(path, kFormat, [&](JsonLine&& line) {
    evaluation.rows.push_back(scored_row_from_json(line.value).value_or_throw());
  });
  if (!header || !header->extra.contains("evaluation") ||
      !header->extra["evaluation"].is_object()) {
    fail_input(path.string() +
               ":1: no header that says what was evaluated (is this a "
               "scored_replies file?)");
  }
  auto facts = facts_from_json(header->extra["evaluation"]);
  if (!facts) fail_input(path.string() + ":1: evaluation: " + facts.error().message);
  evaluation.facts = std::move(*facts);
  return evaluation;
}

}  // namespace l2a
