#include "calibrate/gold_overrides.h"

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace l2a {
namespace {

// What was to be asked, and where the user says it.
struct Fact {
  SaidRange said;
  std::string question, fact;

  friend bool operator==(const Fact&, const Fact&) = default;
};

const Turn& turn_at(const CalibrationItem& item, size_t turn) {
  return item.future[turn - item.context.size()];
}

// The question that brought out what is said at `turn`.
std::string question_before(const CalibrationItem& item, size_t turn, const QuestionForms& forms) {
  while (turn_at(item, turn).role == Role::kUser) --turn;  // the future begins with the expert
  const std::string& said = turn_at(item, turn).text;
  const auto questions = forms.questions(said);
  return questions.empty() ? said : questions.back();
}

std::vector<Fact> facts_of(const GoldLabel& label, const CalibrationItem& item,
                           const QuestionForms& forms) {
  std::vector<Fact> facts;
  for (size_t i = 0; i < item.claims.size(); ++i) {
    const Claim& claim = item.claims[i];
    if (*(*label.claims)[i]) facts.push_back({claim.said, claim.question, claim.fact});
  }
  for (const SaidRange& said : label.missing_said) {
    const auto& [begin, end] = said.bytes;
    facts.push_back({said, question_before(item, said.turn, forms),
                     turn_at(item, said.turn).text.substr(begin, end - begin)});
  }
  std::stable_sort(facts.begin(), facts.end(), [](const Fact& a, const Fact& b) {
    return std::tie(a.said.turn, a.said.bytes.begin) < std::tie(b.said.turn, b.said.bytes.begin);
  });
  return facts;
}

// What all who say something say.
template <class T>
struct Agreed {
  std::optional<T> value = {};
  bool disputed = false;

  void add(T said) {
    disputed = disputed || (value && *value != said);
    value = std::move(said);
  }
  bool holds() const { return value && !disputed; }
};

struct Correction {
  std::string session;
  size_t turn = 0;
  Agreed<Decision> decision = {};
  Agreed<std::vector<Fact>> wanted = {};
  std::set<std::string> by = {};
};

// A turn each, in the order of the items.
std::vector<Correction> corrections_of(std::span<const CalibrationItem> items,
                                       const GoldLabels& labels, const QuestionForms& forms) {
  std::vector<Correction> corrections;
  std::map<std::string, size_t> places;  // by context
  for (const CalibrationItem& item : items) {
    const auto [place, is_new] = places.emplace(item.context_id, corrections.size());
    if (is_new) corrections.push_back({item.session(), item.context.size()});
    Correction& correction = corrections[place->second];
    for (const GoldLabel* label : labels.of(item.id)) {
      const bool judges_claims = label->claims && label->is_complete();
      if (!label->decision && !judges_claims) continue;
      correction.by.insert(label->by);
      if (label->decision) correction.decision.add(*label->decision);
      if (judges_claims) correction.wanted.add(facts_of(*label, item, forms));
    }
  }
  return corrections;
}

using FirstStops = std::map<std::string, size_t>;  // turn, by session
FirstStops first_stops(const std::vector<Correction>& corrections) {
  FirstStops stops;
  for (const Correction& correction : corrections) {
    if (!correction.decision.holds() || *correction.decision.value != Decision::kStop) continue;
    const auto stop = stops.emplace(correction.session, correction.turn).first;
    stop->second = std::min(stop->second, correction.turn);
  }
  return stops;
}

}  // namespace

GoldOverrides gold_overrides(std::span<const CalibrationItem> items, const GoldLabels& labels,
                             const QuestionForms& forms) {
  const auto corrections = corrections_of(items, labels, forms);
  const FirstStops stops = first_stops(corrections);
  GoldOverrides out;
  for (const auto& [session, turn, decision, wanted, by] : corrections) {
    out.disputed += decision.disputed;
    out.disputed += wanted.disputed;
    if (!decision.holds() && !wanted.holds()) continue;
    const auto stop = stops.find(session);
    if (stop != stops.end() && turn > stop->second) {
      ++out.past_stop;
      continue;
    }
    Json line = {{"session", session}, {"turn", turn}};
    if (decision.holds()) line["decision"] = decision_name(*decision.value);
    if (wanted.holds()) {
      line["wanted"] = Json::array();
      for (const Fact& fact : *wanted.value) {
        if (stop != stops.end() && fact.said.turn > stop->second) continue;
        line["wanted"].push_back(
            {{"question", fact.question}, {"fact", fact.fact}, {"answer_turn", fact.said.turn}});
      }
    }
    line["by"] = fmt::format("{}", fmt::join(by, ", "));
    out.lines.push_back(std::move(line));
  }
  return out;
}

}  // namespace l2a
