#include "hindsight/sample.h"

#include <algorithm>

#include "base/jsonl.h"
#include "base/utf8.h"

namespace l2a {
namespace {

constexpr TurnKind kTurnKinds[] = {TurnKind::kAsk, TurnKind::kInform, TurnKind::kStop};
constexpr Decision kDecisions[] = {Decision::kContinue, Decision::kStop};

Error bad(const std::string& why) { return {ErrorCode::kInvalidInput, why}; }

Json item_to_json(const Item& item) {
  return {{"fact", item.fact},
          {"question", item.question},
          {"question_turn", item.question_turn},
          {"answer_turn", item.answer_turn},
          {"source",
           {{"message", item.source_message},
            {"begin", item.source_begin},
            {"last_message", item.source_last_message},
            {"end", item.source_end}}}};
}

// `items` grows by those of the sample that it lacks.
Json sample_to_json(const Sample& sample, std::vector<Item>& items) {
  Json line = {{"turn", sample.turn},           {"kind", turn_kind_name(sample.kind.value)},
               {"kind_rule", sample.kind.rule}, {"decision", nullptr},
               {"decision_rule", nullptr},      {"wanted", nullptr}};
  if (sample.decision) {
    line["decision"] = decision_name(sample.decision->value);
    line["decision_rule"] = sample.decision->rule;
  }
  if (!sample.wanted) return line;
  line["wanted"] = Json::array();
  size_t next = 0;  // samples have their items in one order: a search begins where the last ended
  for (const Item& item : *sample.wanted) {
    auto found = std::find(items.begin() + static_cast<std::ptrdiff_t>(next), items.end(), item);
    if (found == items.end()) found = std::find(items.begin(), items.end(), item);
    const auto index = static_cast<size_t>(found - items.begin());
    line["wanted"].push_back(index);
    if (index == items.size()) items.push_back(item);
    next = index + 1;
  }
  return line;
}

// The enumerator whose name stands under `key`.
template <class T, size_t N>
Result<T> get_named(const Json& object, const std::string& key, const T (&values)[N],
                    const char* (*name)(T)) {
  const auto text = get_string(object, key);
  if (!text) return text.error();
  std::string known;
  for (const T value : values) {
    if (*text == name(value)) return value;
    known += (known.empty() ? "" : " or ") + std::string(name(value));
  }
  return bad("'" + key + "': expected " + known + ", got '" + shown(*text) + "'");
}

// Reads numbers below their ends until the first that fails.
class IndexReader {
 public:
  explicit IndexReader(const Json& object) : object_(object) {}
  void operator()(const char* key, size_t& field, size_t end) {
    if (error) return;
    const auto index = get_index(object_, key, end);
    if (index) {
      field = *index;
    } else {
      error = index.error();
    }
  }
  std::optional<Error> error;

 private:
  const Json& object_;
};

Result<Item> item_from_json(const Json& line, const LabelledSession& session) {
  Item item;
  auto fact = get_string(line, "fact");
  if (!fact) return fact.error();
  auto question = get_string(line, "question");
  if (!question) return question.error();
  item.fact = std::move(*fact);
  item.question = std::move(*question);

  IndexReader turns(line);
  turns("answer_turn", item.answer_turn, session.turns.size());
  turns("question_turn", item.question_turn, item.answer_turn);
  if (turns.error) return *turns.error;
  if (!line.contains("source")) return bad("'source': missing");
  IndexReader source(line["source"]);
  source("last_message", item.source_last_message, session.messages.size());
  source("message", item.source_message, item.source_last_message + 1);
  if (source.error) return *source.error;
  source("begin", item.source_begin, session.messages[item.source_message].text.size());
  source("end", item.source_end, session.messages[item.source_last_message].text.size() + 1);
  if (source.error) return *source.error;
  return item;
}

Result<Sample> sample_from_json(const Json& line, const LabelledSession& session,
                                const std::vector<Item>& items) {
  Sample sample;
  const auto turn = get_index(line, "turn", session.turns.size());
  if (!turn) return turn.error();
  sample.turn = *turn;
  if (session.turns[sample.turn].role != Role::kAssistant) return bad("'turn': not the expert's");
  const auto kind = get_named(line, "kind", kTurnKinds, turn_kind_name);
  if (!kind) return kind.error();
  auto kind_rule = get_string(line, "kind_rule");
  if (!kind_rule) return kind_rule.error();
  sample.kind = {*kind, std::move(*kind_rule)};

  if (!line.contains("decision")) return bad("'decision': missing");
  if (!line["decision"].is_null()) {
    const auto decision = get_named(line, "decision", kDecisions, decision_name);
    if (!decision) return decision.error();
    auto rule = get_string(line, "decision_rule");
    if (!rule) return rule.error();
    sample.decision = {*decision, std::move(*rule)};
  }
  if (!line.contains("wanted")) return bad("'wanted': missing");
  if (line["wanted"].is_null()) return sample;
  const auto wanted = get_list(line, "wanted");
  if (!wanted) return wanted.error();
  sample.wanted.emplace();
  for (const Json& index : **wanted) {
    if (!index.is_number_unsigned() || index.get<uint64_t>() >= items.size()) {
      return bad("'wanted': no item " + shown(dump_json(index)));
    }
    sample.wanted->push_back(items[index.get<size_t>()]);
  }
  return sample;
}

// Calls `read` for each element of the array `key`, stopping at the first error.
template <class Read>
std::optional<Error> read_each(const Json& line, const std::string& key, Read read) {
  const auto array = get_list(line, key);
  if (!array) return array.error();
  for (size_t i = 0; i < (*array)->size(); ++i) {
    const Json& element = (**array)[i];
    const std::optional<Error> error =
        element.is_object() ? read(element) : bad("expected an object");
    if (error) return bad("'" + key + "'[" + std::to_string(i) + "]: " + error->message);
  }
  return std::nullopt;
}

}  // namespace

const char* turn_kind_name(TurnKind kind) {
  switch (kind) {
    case TurnKind::kAsk:
      return "ask";
    case TurnKind::kInform:
      return "inform";
    case TurnKind::kStop:
      return "stop";
  }
  check(false, "turn_kind_name: no such kind");
  return "";
}

std::string sample_id(const LabelledSession& session, const Sample& sample) {
  return session.id + "/" + std::to_string(sample.turn);
}

bool has_empty_target(const Sample& sample) {
  return sample.decision && sample.decision->value == Decision::kContinue && sample.wanted &&
         sample.wanted->empty();
}

bool is_labelled(const Sample& sample) { return sample.wanted && sample.decision; }

Json to_json(const LabelledSession& session) {
  check(!session.messages.empty(), "to_json: a labelled session needs its messages");
  Session source{.id = session.id,
                 .system = {},
                 .messages = session.messages,
                 .tail = {},
                 .stop_seen = {},
                 .extra = session.extra};
  Json line = to_json(source);
  std::vector<Item> items;
  Json samples = Json::array();
  for (const Sample& sample : session.samples) samples.push_back(sample_to_json(sample, items));
  line["censored"] = session.censored;
  line["items"] = Json::array();
  for (const Item& item : items) line["items"].push_back(item_to_json(item));
  line["samples"] = std::move(samples);
  return line;
}

Result<LabelledSession> labelled_session_from_json(const Json& line) {
  auto source = session_from_json(line);
  if (!source) return source.error();
  LabelledSession session{.id = source->id, .turns = turns_of(*source), .samples = {}};
  session.messages = std::move(source->messages);
  session.extra = line;
  for (const char* key : {"session_id", "messages", "censored", "items", "samples"}) {
    session.extra.erase(key);
  }
  if (!line.contains("censored")) return bad("'censored': missing");
  const auto censored = get_bool_or(line, "censored", false);
  if (!censored) return censored.error();
  session.censored = *censored;

  std::vector<Item> items;
  auto error = read_each(line, "items", [&](const Json& element) -> std::optional<Error> {
    auto item = item_from_json(element, session);
    if (!item) return item.error();
    items.push_back(std::move(*item));
    return std::nullopt;
  });
  if (error) return *error;
  error = read_each(line, "samples", [&](const Json& element) -> std::optional<Error> {
    auto sample = sample_from_json(element, session, items);
    if (!sample) return sample.error();
    if (!session.samples.empty()) {
      const Sample& last = session.samples.back();
      if (sample->turn <= last.turn) return bad("'turn': not after the sample before");
      if (last.kind.value == TurnKind::kStop) return bad("after the stop");
    }
    session.samples.push_back(std::move(*sample));
    return std::nullopt;
  });
  if (error) return *error;
  return session;
}

std::vector<LabelledSession> read_labels(const std::string& path) {
  std::vector<LabelledSession> sessions;
  for_each_row(path, "labels", [&](JsonLine&& line) {
    sessions.push_back(labelled_session_from_json(line.value).value_or_throw());
  });
  return sessions;
}

}  // namespace l2a
