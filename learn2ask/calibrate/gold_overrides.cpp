#include "calibrate/gold_overrides.h"

#include <algorithm>
#include <map>
#include <optional>
#include <string>
#include <utility>

#include "calibrate/people_agreement.h"

namespace l2a {
namespace {

const Turn& turn_at(const CalibrationItem& item, size_t turn) {
  return item.future[turn - item.context.size()];
}

// The question that brought out what is said at `turn`; empty where nobody spoke before it.
std::string question_before(const CalibrationItem& item, size_t turn, const QuestionForms& forms) {
  while (turn-- > item.context.size()) {
    const Turn& said = turn_at(item, turn);
    if (said.role == Role::kUser) continue;
    const auto questions = forms.questions(said.text);
    return questions.empty() ? said.text : questions.back();
  }
  return {};
}

Json wanted_item(const CalibrationItem& item, const SaidRange& said, const QuestionForms& forms) {
  const auto claim = std::find_if(item.claims.begin(), item.claims.end(),
                                  [&](const Claim& c) { return c.said == said; });
  if (claim != item.claims.end()) return {{"question", claim->question}, {"fact", claim->fact}};
  const auto& [begin, end] = said.bytes;
  return {{"question", question_before(item, said.turn, forms)},
          {"fact", turn_at(item, said.turn).text.substr(begin, end - begin)}};
}

// What all people say who say all; nullopt where they differ or nobody does.
struct Judgement {
  std::optional<Json> correction;
  std::string by;
  bool disputed = false;
};

void add(Judgement& judgement, Json correction, const std::string& by) {
  if (judgement.correction && *judgement.correction != correction) judgement.disputed = true;
  judgement.correction = std::move(correction);
  judgement.by += (judgement.by.empty() ? "" : ", ") + by;
}

Judgement judgement_on(const CalibrationItem& item, const GoldLabels& labels,
                       const QuestionForms& forms) {
  Judgement judgement;
  for (const GoldLabel* label : labels.of(item.id)) {
    if (item.kind == ItemKind::kStop && label->decision) {
      add(judgement, {{"decision", decision_name(*label->decision)}}, label->by);
    }
    auto said = said_according_to(*label, item);
    if (!said) continue;
    std::sort(said->begin(), said->end(), [](const SaidRange& a, const SaidRange& b) {
      return std::pair(a.turn, a.bytes.begin) < std::pair(b.turn, b.bytes.begin);
    });
    Json wanted = Json::array();
    for (const SaidRange& range : *said) wanted.push_back(wanted_item(item, range, forms));
    add(judgement, {{"wanted", std::move(wanted)}}, label->by);
  }
  return judgement;
}

// Labels end at a stop: a correction after it would correct nothing.
size_t drop_past_stops(std::vector<Json>& lines) {
  std::map<std::string, size_t> stops;  // by session: the first turn
  for (const Json& line : lines) {
    if (line.value("decision", "") != decision_name(Decision::kStop)) continue;
    const auto turn = line["turn"].get<size_t>();
    const auto [stop, is_new] = stops.emplace(line["session"].get<std::string>(), turn);
    stop->second = std::min(stop->second, turn);
  }
  return std::erase_if(lines, [&](const Json& line) {
    const auto stop = stops.find(line["session"].get<std::string>());
    return stop != stops.end() && line["turn"].get<size_t>() > stop->second;
  });
}

}  // namespace

GoldOverrides gold_overrides(std::span<const CalibrationItem> items, const GoldLabels& labels,
                             const QuestionForms& forms) {
  GoldOverrides out;
  std::map<std::string, size_t> by_turn;  // where each has its line
  for (const CalibrationItem& item : items) {
    const Judgement judgement = judgement_on(item, labels, forms);
    if (judgement.disputed) ++out.disputed;
    if (judgement.disputed || !judgement.correction) continue;
    const auto [place, is_new] = by_turn.emplace(item.context_id, out.lines.size());
    if (is_new) {
      out.lines.push_back(
          {{"session", item.session()}, {"turn", item.context.size()}, {"by", judgement.by}});
    }
    Json& line = out.lines[place->second];
    line.update(*judgement.correction);
    const std::string by = line["by"].get<std::string>();
    if (by != judgement.by) line["by"] = by + "; " + judgement.by;
  }
  out.past_stop = drop_past_stops(out.lines);
  return out;
}

}  // namespace l2a
