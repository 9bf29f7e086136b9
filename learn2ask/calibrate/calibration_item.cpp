#include "calibrate/calibration_item.h"

#include <algorithm>
#include <set>

#include "base/file.h"
#include "base/jsonl.h"
#include "base/utf8.h"

namespace l2a {
namespace {

constexpr const char* kFormat = "calibration_items";
constexpr size_t kIdDigits = 12;

std::vector<Turn> turns_at(const Json& line, const char* key) {
  std::vector<Turn> turns;
  for (const Json& turn : *get_list(line, key).value_or_throw()) {
    const std::string from = get_string(turn, "from").value_or_throw();
    if (from != "user" && from != "expert") {
      fail_input("'from': expected user or expert, got '" + shown(from) + "'");
    }
    turns.push_back({.role = from == "user" ? Role::kUser : Role::kAssistant,
                     .text = get_string(turn, "text").value_or_throw()});
  }
  return turns;
}

Claim claim_of(const Json& json, const CalibrationItem& item) {
  const size_t turns = item.context.size() + item.future.size();
  const size_t turn = get_index(json, "turn", turns).value_or_throw();
  if (turn < item.context.size()) fail_input("'turn': this turn is not in the future");
  const Turn& said = item.future[turn - item.context.size()];
  if (said.role != Role::kUser) fail_input("'turn': this turn is not the user's");
  const std::string& text = said.text;
  Claim claim{.question = get_string(json, "question").value_or_throw(),
              .fact = get_string(json, "fact").value_or_throw(),
              .said = {turn,
                       {get_index(json, "begin", text.size() + 1).value_or_throw(),
                        get_index(json, "end", text.size() + 1).value_or_throw()}}};
  const auto [begin, end] = claim.said.bytes;
  if (begin >= end) fail_input("'end': not after 'begin'");
  if (find_bad_utf8(std::string_view(text).substr(begin, end - begin))) {
    fail_input("'begin': it or 'end' is inside a character");
  }
  return claim;
}

void read_grade(const Json& line, CalibrationItem& item) {
  for (const Json& open : *get_list(line, "open").value_or_throw()) {
    Item wanted;
    wanted.question = get_string(open, "question").value_or_throw();
    wanted.fact = get_string(open, "fact").value_or_throw();
    item.open.push_back(std::move(wanted));
  }
  item.reply = get_string(line, "reply").value_or_throw();
  const auto verdicts = line.find("verdicts");
  if (verdicts == line.end()) return;
  if (!verdicts->is_object()) fail_input("'verdicts': expected an object");
  for (const auto& [grader, verdict] : verdicts->items()) {
    const bool is_verdict = verdict.is_number() && verdict >= 0 && verdict <= 1;
    if (!verdict.is_null() && !is_verdict) {
      fail_input("'verdicts': expected null, or numbers from 0 to 1");
    }
    item.verdicts[grader] = is_verdict ? std::optional(verdict.get<double>()) : std::nullopt;
  }
}

std::optional<Decision> decision_at(const Json& line) {
  const auto found = line.find("decision");
  if (found == line.end() || found->is_null()) return std::nullopt;
  const std::string name = get_string(line, "decision").value_or_throw();
  if (const auto decision = decision_from_name(name)) return *decision;
  fail_input("'decision': expected stop or continue, got '" + shown(name) + "'");
}

CalibrationItem read_item(const Json& line) {
  CalibrationItem item{
      .id = get_string(line, "id").value_or_throw(),
      .kind = item_kind_from_name(get_string(line, "kind").value_or_throw()).value_or_throw(),
      .context_id = get_string(line, "context").value_or_throw(),
      .context = turns_at(line, "turns")};
  if (item.id.empty()) fail_input("'id': empty");
  item.why = get_string_or(line, "why", "").value_or_throw();
  if (item.kind == ItemKind::kGrade) {
    read_grade(line, item);
    return item;
  }
  item.future = turns_at(line, "future");
  if (!item.future.empty() && item.future.front().role == Role::kUser) {
    fail_input("'future': begins with the expert's turn, not with the user's");
  }
  if (item.kind == ItemKind::kStop) {
    item.decision = decision_at(line);
    return item;
  }
  for (const Json& claim : *get_list(line, "items").value_or_throw()) {
    item.claims.push_back(claim_of(claim, item));
  }
  return item;
}

}  // namespace

const char* item_kind_name(ItemKind kind) {
  switch (kind) {
    case ItemKind::kGrade:
      return "grade";
    case ItemKind::kExtract:
      return "extract";
    case ItemKind::kStop:
      return "stop";
  }
  return "";
}

Result<ItemKind> item_kind_from_name(const std::string& name) {
  for (const ItemKind kind : {ItemKind::kGrade, ItemKind::kExtract, ItemKind::kStop}) {
    if (name == item_kind_name(kind)) return kind;
  }
  return Error{ErrorCode::kInvalidInput,
               "'kind': expected grade, extract or stop, got '" + shown(name) + "'"};
}

bool overlap(const SaidRange& a, const SaidRange& b) {
  return a.turn == b.turn && a.bytes.begin < b.bytes.end && b.bytes.begin < a.bytes.end;
}

std::string CalibrationItem::session() const { return context_id.substr(0, context_id.rfind('/')); }

std::string item_id(const CalibrationItem& item) {
  Json judged = to_json(item);
  for (const char* other : {"id", "verdicts", "why", "decision"}) judged.erase(other);
  return std::string(1, item_kind_name(item.kind)[0]) + "-" +
         sha256_hex(dump_json(judged)).substr(0, kIdDigits);
}

Json turns_to_json(std::span<const Turn> turns) {
  Json list = Json::array();
  for (const Turn& turn : turns) {
    list.push_back({{"from", turn.role == Role::kUser ? "user" : "expert"}, {"text", turn.text}});
  }
  return list;
}

Json to_json(const CalibrationItem& item) {
  Json line = {{"id", item.id},
               {"kind", item_kind_name(item.kind)},
               {"context", item.context_id},
               {"turns", turns_to_json(item.context)}};
  if (item.kind == ItemKind::kGrade) {
    Json open = Json::array();
    for (const Item& wanted : item.open) {
      open.push_back({{"question", wanted.question}, {"fact", wanted.fact}});
    }
    Json verdicts = Json::object();
    for (const auto& [grader, verdict] : item.verdicts) {
      verdicts[grader] = verdict ? Json(*verdict) : Json(nullptr);
    }
    line["open"] = std::move(open);
    line["reply"] = item.reply;
    line["verdicts"] = std::move(verdicts);
  } else {
    line["future"] = turns_to_json(item.future);
  }
  if (item.kind == ItemKind::kExtract) {
    Json claims = Json::array();
    for (const Claim& claim : item.claims) {
      claims.push_back({{"question", claim.question},
                        {"fact", claim.fact},
                        {"turn", claim.said.turn},
                        {"begin", claim.said.bytes.begin},
                        {"end", claim.said.bytes.end}});
    }
    line["items"] = std::move(claims);
  }
  if (item.kind == ItemKind::kStop) {
    line["decision"] = item.decision ? Json(decision_name(*item.decision)) : Json(nullptr);
  }
  line["why"] = item.why;
  return line;
}

Result<CalibrationItem> calibration_item_from_json(const Json& line) {
  try {
    return read_item(line);
  } catch (const Failure& failure) {
    return failure.error;
  }
}

std::vector<CalibrationItem> read_calibration_items(const std::string& path) {
  std::vector<CalibrationItem> items;
  std::set<std::string> ids;
  for_each_row(path, kFormat, [&](JsonLine&& line) {
    items.push_back(calibration_item_from_json(line.value).value_or_throw());
    const std::string& id = items.back().id;
    if (!ids.insert(id).second) fail_input("'id': '" + shown(id) + "' stands twice");
  });
  if (items.empty()) fail_input(path + ": no calibration item in it");
  return items;
}

SaidRange said_range(const Item& item, const LabelledSession& session) {
  const Turn& turn = session.turns[item.answer_turn];
  // A turn's text is that of its messages, with a newline between each two.
  const auto offset = [&](size_t message) {
    size_t bytes = 0;
    for (size_t m = turn.first_message; m < message; ++m) {
      bytes += session.messages[m].text.size() + 1;
    }
    return bytes;
  };
  return {item.answer_turn,
          {offset(item.source_message) + item.source_begin,
           offset(item.source_last_message) + item.source_end}};
}

}  // namespace l2a
