#include "hindsight/overrides.h"

#include "base/file.h"
#include "base/jsonl.h"
#include "base/utf8.h"
#include "hindsight/quotation.h"
#include "hindsight/said_item.h"

namespace l2a {
namespace {

std::optional<Decision> decision_of(const Json& line) {
  if (!line.contains("decision")) return std::nullopt;
  const std::string name = get_string(line, "decision").value_or_throw();
  if (const auto decision = decision_from_name(name)) return *decision;
  fail_input("'decision': expected continue or stop, got '" + shown(name) + "'");
}

size_t turn_of(const Json& line, const char* key) {
  constexpr size_t kMostTurns = 1'000'000'000;
  return get_index(line, key, kMostTurns).value_or_throw();
}

std::optional<std::vector<Override::Pair>> wanted_of(const Json& line) {
  if (!line.contains("wanted")) return std::nullopt;
  std::vector<Override::Pair> pairs;
  for (const Json& pair : *get_list(line, "wanted").value_or_throw()) {
    pairs.push_back({get_string(pair, "question").value_or_throw(),
                     get_string(pair, "fact").value_or_throw(), std::nullopt});
    if (pair.contains("answer_turn")) pairs.back().answer_turn = turn_of(pair, "answer_turn");
  }
  return pairs;
}

// The last turn of the expert before `answer` that contains the question; else the last one.
size_t question_turn(std::span<const Turn> turns, size_t answer, const std::string& question) {
  size_t last = 0;
  for (size_t t = answer; t-- > 0;) {
    if (turns[t].role == Role::kUser) continue;
    if (find_quotation(turns[t].text, question)) return t;
    if (last == 0) last = t;
  }
  return last;
}

}  // namespace

Overrides Overrides::load(const std::filesystem::path& path) {
  Overrides overrides;
  overrides.sha256_ = sha256_file(path);
  for_each_row(path, "overrides", [&](JsonLine&& line) {
    std::pair key{get_string(line.value, "session").value_or_throw(), turn_of(line.value, "turn")};
    Override correction{decision_of(line.value), wanted_of(line.value),
                        path.string() + ":" + std::to_string(line.number)};
    if (!correction.decision && !correction.wanted) {
      fail_input("neither 'decision' nor 'wanted' is corrected");
    }
    if (!overrides.by_turn_.emplace(std::move(key), Kept{std::move(correction)}).second) {
      fail_input("this turn is corrected twice");
    }
  });
  return overrides;
}

const Override* Overrides::find(const std::string& session, size_t turn) const {
  const auto found = by_turn_.find({session, turn});
  return found == by_turn_.end() ? nullptr : &found->second.correction;
}

void Overrides::mark_used(const std::string& session, size_t turn) {
  by_turn_.at({session, turn}).used = true;
}

void Overrides::refuse_unused() const {
  for (const auto& [key, kept] : by_turn_) {
    if (kept.used) continue;
    fail_input(kept.correction.where + ": no expert turn " + shown(key.first) + "/" +
               std::to_string(key.second) + " is labelled: its session is not there, or " +
               "stops before it");
  }
}

std::vector<Item> items_of(const Override& correction, const Session& session,
                           std::span<const Turn> turns, size_t turn) {
  std::vector<Item> items;
  for (const Override::Pair& pair : *correction.wanted) {
    std::optional<Item> item;
    for (size_t t = turn; t < turns.size() && !item; ++t) {
      if (turns[t].role != Role::kUser || pair.answer_turn.value_or(t) != t) continue;
      if (const auto said = find_quotation(turns[t].text, pair.fact)) {
        item = said_item(session, turns, t, *said, pair.question,
                         question_turn(turns, t, pair.question));
      }
    }
    if (!item) {
      fail_input(correction.where + ": 'fact': the user does not say '" + shown(pair.fact) + "' " +
                 (pair.answer_turn ? "at turn " + std::to_string(*pair.answer_turn)
                                   : "after turn " + std::to_string(turn)));
    }
    items.push_back(std::move(*item));
  }
  return items;
}

}  // namespace l2a
