#include "calibrate/gold_label.h"

#include <algorithm>
#include <filesystem>
#include <set>

#include "base/clock.h"
#include "base/jsonl.h"
#include "base/utf8.h"
#include "hindsight/quotation.h"

namespace l2a {
namespace {

constexpr const char* kFormat = "gold_labels";
constexpr size_t kLongestNote = 10'000;

// Where the user says it from the item's turn on, in words that none of `taken` has.
std::optional<SaidRange> find_said(const CalibrationItem& item, const std::string& quotation,
                                   std::span<const SaidRange> taken) {
  for (size_t i = 0; i < item.future.size(); ++i) {
    const std::string_view text = item.future[i].text;
    if (item.future[i].role != Role::kUser) continue;
    for (size_t from = 0; const auto found = find_quotation(text.substr(from), quotation);) {
      const SaidRange said{item.context.size() + i, {from + found->begin, from + found->end}};
      const bool is_taken = std::any_of(
          taken.begin(), taken.end(), [&](const SaidRange& range) { return overlap(range, said); });
      if (!is_taken) return said;
      from = said.bytes.end;
    }
  }
  return std::nullopt;
}

double grade_in(const Json& line) {
  const double grade = get_number(line, "grade").value_or_throw();
  if (grade != 0 && grade != 0.5 && grade != 1) fail_input("'grade': expected 0, 0.5 or 1");
  return grade;
}

Decision decision_in(const Json& line) {
  const std::string name = get_string(line, "decision").value_or_throw();
  if (const auto decision = decision_from_name(name)) return *decision;
  fail_input("'decision': expected stop or continue, got '" + shown(name) + "'");
}

std::vector<std::optional<bool>> claims_in(const Json& line, const CalibrationItem& item) {
  const Json& list = line["items"];
  if (!list.is_array() || list.size() != item.claims.size()) {
    fail_input("'items': expected a list of " + std::to_string(item.claims.size()));
  }
  std::vector<std::optional<bool>> claims;
  for (const Json& claim : list) {
    if (claim.is_null()) {
      claims.push_back(std::nullopt);
    } else if (claim == "right" || claim == "wrong") {
      claims.push_back(claim == "right");
    } else {
      fail_input("'items': expected right, wrong or null");
    }
  }
  return claims;
}

// After the claims: what a right one has is not missing, what a wrong one has only where the words
// stand nowhere else.
void read_missing(const Json& line, const CalibrationItem& item, GoldLabel& label) {
  const auto list = line.find("missing");
  if (list == line.end()) return;
  std::vector<SaidRange> taken, claimed;
  for (size_t i = 0; i < item.claims.size(); ++i) {
    claimed.push_back(item.claims[i].said);
    if ((*label.claims)[i].value_or(false)) taken.push_back(item.claims[i].said);
  }
  if (!list->is_array()) fail_input("'missing': expected a list, got " + type_phrase(*list));
  for (const Json& missing : *list) {
    if (!missing.is_string()) fail_input("'missing': expected texts");
    const auto text = missing.get<std::string>();
    auto said = find_said(item, text, claimed);
    if (!said) said = find_said(item, text, taken);
    if (!said) {
      fail_input("'missing': the user does not say '" + shown(text) +
                 "' from this turn on, besides what is marked right or missing already");
    }
    taken.push_back(*said);
    claimed.push_back(*said);
    label.missing.push_back(text);
    label.missing_said.push_back(*said);
  }
}

// The one judgement that the line is.
void read_judgement(const Json& line, const CalibrationItem& item, GoldLabel& label) {
  const auto flag = [&](const char* key) { return get_bool_or(line, key, false).value_or_throw(); };
  label.unsure = flag("unsure");
  label.undone = flag("undone");
  const size_t said = line.contains("grade") + line.contains("decision") + line.contains("items") +
                      label.unsure + label.undone;
  if (said != 1) {
    fail_input("expected one of 'grade', 'items', 'decision', 'unsure' and 'undone', got " +
               std::to_string(said));
  }
  if (line.contains("missing") && !line.contains("items")) {
    fail_input("'missing': only beside 'items'");
  }
  const auto of = [&](const char* key, ItemKind kind) {
    if (!line.contains(key)) return false;
    if (item.kind != kind) {
      fail_input(std::string("'") + key + "': not of an item of kind " + item_kind_name(item.kind));
    }
    return true;
  };
  if (of("grade", ItemKind::kGrade)) label.grade = grade_in(line);
  if (of("decision", ItemKind::kStop)) label.decision = decision_in(line);
  if (of("items", ItemKind::kExtract)) {
    label.claims = claims_in(line, item);
    read_missing(line, item, label);
  }
  if (label.unsure && item.kind == ItemKind::kExtract) {
    fail_input("'unsure': not of an item of kind extract");
  }
}

GoldLabel read_label(const Json& line, const ItemIndex& items) {
  GoldLabel label{.item = get_string(line, "item").value_or_throw(),
                  .by = trim(get_string(line, "by").value_or_throw())};
  if (label.by.empty() || label.by.size() > kLongestName) {
    fail_input("'by': expected the name of whoever labels, of at most " +
               std::to_string(kLongestName) + " bytes");
  }
  const CalibrationItem* item = items.find(label.item);
  if (item == nullptr) fail_input("'item': there is no item '" + shown(label.item) + "'");
  label.note = get_string_or(line, "note", "").value_or_throw();
  if (label.note.size() > kLongestNote) fail_input("'note': longer than 10,000 bytes");
  read_judgement(line, *item, label);
  return label;
}

}  // namespace

bool GoldLabel::is_complete() const {
  if (claims) {
    return std::all_of(claims->begin(), claims->end(), [](const auto& claim) { return !!claim; });
  }
  return grade || decision || unsure;
}

ItemIndex::ItemIndex(const std::vector<CalibrationItem>& items) {
  for (const CalibrationItem& item : items) by_id_.emplace(item.id, &item);
}

const CalibrationItem* ItemIndex::find(const std::string& id) const {
  const auto found = by_id_.find(id);
  return found == by_id_.end() ? nullptr : found->second;
}

Result<GoldLabel> gold_label_from_json(const Json& line, const ItemIndex& items) {
  try {
    return read_label(line, items);
  } catch (const Failure& failure) {
    return failure.error;
  }
}

Json to_json(const GoldLabel& label) {
  Json line = {{"item", label.item}, {"by", label.by}};
  if (label.grade) line["grade"] = *label.grade;
  if (label.decision) line["decision"] = decision_name(*label.decision);
  if (label.claims) {
    Json claims = Json::array();
    for (const auto& claim : *label.claims) {
      claims.push_back(claim ? Json(*claim ? "right" : "wrong") : Json(nullptr));
    }
    line["items"] = std::move(claims);
    line["missing"] = label.missing;
  }
  if (label.unsure) line["unsure"] = true;
  if (label.undone) line["undone"] = true;
  if (!label.note.empty()) line["note"] = label.note;
  return line;
}

void GoldLabels::put(GoldLabel label) {
  if (label.undone) {
    const auto of_item = by_item_.find(label.item);
    if (of_item != by_item_.end()) of_item->second.erase(label.by);
    return;
  }
  by_item_[label.item].insert_or_assign(label.by, std::move(label));
}

const GoldLabel* GoldLabels::find(const std::string& item, const std::string& by) const {
  const auto of_item = by_item_.find(item);
  if (of_item == by_item_.end()) return nullptr;
  const auto found = of_item->second.find(by);
  return found == of_item->second.end() ? nullptr : &found->second;
}

std::vector<const GoldLabel*> GoldLabels::of(const std::string& item) const {
  std::vector<const GoldLabel*> labels;
  const auto of_item = by_item_.find(item);
  if (of_item == by_item_.end()) return labels;
  for (const auto& [by, label] : of_item->second) labels.push_back(&label);
  return labels;
}

std::vector<std::string> GoldLabels::people() const {
  std::set<std::string> names;
  for (const auto& [item, labels] : by_item_) {
    for (const auto& [by, label] : labels) names.insert(by);
  }
  return {names.begin(), names.end()};
}

std::optional<double> GoldLabels::grade_of(const std::string& item) const {
  std::vector<double> grades;
  for (const GoldLabel* label : of(item)) {
    if (label->grade) grades.push_back(*label->grade);
  }
  if (grades.empty()) return std::nullopt;
  std::sort(grades.begin(), grades.end());
  return grades[(grades.size() - 1) / 2];
}

std::optional<Decision> GoldLabels::decision_of(const std::string& item) const {
  int more_stops = 0;
  for (const GoldLabel* label : of(item)) {
    if (label->decision) more_stops += *label->decision == Decision::kStop ? 1 : -1;
  }
  if (more_stops == 0) return std::nullopt;
  return more_stops > 0 ? Decision::kStop : Decision::kContinue;
}

void read_gold_labels(const std::string& path, const ItemIndex& items, GoldLabels& labels) {
  for_each_row(path, kFormat, [&](JsonLine&& line) {
    labels.put(gold_label_from_json(line.value, items).value_or_throw());
  });
}

GoldLabelFile::GoldLabelFile(const std::string& path, const ItemIndex& items)
    : journal_(path, {.format = kFormat, .command = "learn2ask calibrate"}) {
  read_gold_labels(path, items, labels_);
}

void GoldLabelFile::put(GoldLabel label) {
  Json line = to_json(label);
  line["time"] = utc_timestamp();
  journal_.append(dump_json(line));
  labels_.put(std::move(label));
}

}  // namespace l2a
