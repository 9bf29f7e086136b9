#include "calibrate/gold_sheet.h"

#include <algorithm>
#include <charconv>
#include <map>
#include <sstream>

#include <fmt/format.h>

#include "base/utf8.h"
#include "dialogue/csv.h"

namespace l2a {
namespace {

constexpr const char* kColumns[] = {"item", "kind",  "context", "said later", "to judge",
                                    "by",   "label", "missing", "note"};

// What a spreadsheet would take for a formula, after any apostrophes: guarding adds one of these.
bool looks_like_formula(std::string_view text) {
  while (text.starts_with('\'')) text.remove_prefix(1);
  return !text.empty() && std::string_view("=+-@\t\r").find(text.front()) != text.npos;
}
std::string guarded(const std::string& text) {
  return looks_like_formula(text) ? "'" + text : text;
}
std::string unguarded(const std::string& text) {
  return text.starts_with('\'') && looks_like_formula(text) ? text.substr(1) : text;
}

std::string cell(const std::string& text) {
  std::string quoted = "\"";
  for (const char c : guarded(text)) quoted += c == '"' ? "\"\"" : std::string(1, c);
  return quoted + "\"";
}

std::string text_of(std::span<const Turn> turns) {
  std::string text;
  for (const Turn& turn : turns) {
    text += (turn.role == Role::kUser ? "user: " : "expert: ") + turn.text + "\n";
  }
  return text;
}

std::string said_later(const CalibrationItem& item) {
  if (item.kind != ItemKind::kGrade) return text_of(item.future);
  std::string text;
  for (const Item& open : item.open) text += open.question + " - " + open.fact + "\n";
  return text;
}

std::string to_judge(const CalibrationItem& item) {
  if (item.kind == ItemKind::kGrade) return item.reply;
  if (item.kind == ItemKind::kStop) return "stop or continue?";
  std::string text;
  for (size_t i = 0; i < item.claims.size(); ++i) {
    text += fmt::format("{}. {} - {}\n", i + 1, item.claims[i].question, item.claims[i].fact);
  }
  return text;
}

std::string label_text(const GoldLabel& label) {
  if (label.unsure) return "unsure";
  if (label.grade) return fmt::format("{:g}", *label.grade);
  if (label.decision) return decision_name(*label.decision);
  std::string text;
  for (const auto& claim : *label.claims) {
    text += std::string(text.empty() ? "" : " ") + (!claim ? "?" : *claim ? "right" : "wrong");
  }
  return text.empty() ? "none" : text;
}

std::string joined_lines(const std::vector<std::string>& lines) {
  std::string text;
  for (const std::string& line : lines) text += line + "\n";
  return text;
}

// The judgement of a row, in the form that gold_label_from_json() checks.
Json judgement_of(const std::string& label, const CalibrationItem& item) {
  if (label == "unsure") return {{"unsure", true}};
  if (item.kind == ItemKind::kStop) return {{"decision", label}};
  if (item.kind == ItemKind::kGrade) {
    std::string number = label;  // as many countries write it: 0,5
    std::replace(number.begin(), number.end(), ',', '.');
    double grade = 0;
    const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), grade);
    if (error != std::errc() || end != number.data() + number.size()) {
      fail_input("'label': expected 1, 0.5, 0 or unsure, got '" + shown(label) + "'");
    }
    return {{"grade", grade}};
  }
  Json claims = Json::array();
  std::istringstream words(label == "none" ? "" : label);
  for (std::string word; words >> word;) {
    claims.push_back(word == "?" ? Json(nullptr) : Json(word));
  }
  return {{"items", std::move(claims)}};
}

Json missing_of(const std::string& text) {
  Json missing = Json::array();
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    if (!trim(line).empty()) missing.push_back(trim(line));
  }
  return missing;
}

using Row = std::map<std::string, std::string>;  // by column

GoldLabel label_of(const Row& row, const ItemIndex& items, const std::string& by) {
  const auto at = [&](const char* column) {
    const auto found = row.find(column);
    return found == row.end() ? "" : trim(unguarded(found->second));
  };
  const CalibrationItem* item = items.find(at("item"));
  if (item == nullptr) fail_input("'item': there is no item '" + shown(at("item")) + "'");
  Json line = {{"item", item->id}, {"by", at("by").empty() ? by : at("by")}};
  line.update(judgement_of(at("label"), *item));
  if (line.contains("items")) line["missing"] = missing_of(at("missing"));
  if (!at("note").empty()) line["note"] = at("note");
  return gold_label_from_json(line, items).value_or_throw();
}

}  // namespace

std::string gold_sheet(std::span<const CalibrationItem> items, const GoldLabels& labels,
                       const std::string& by) {
  std::string sheet = "\xEF\xBB\xBF";  // without it Excel takes UTF-8 for another encoding
  const auto add_row = [&](std::span<const std::string> cells) {
    for (size_t i = 0; i < cells.size(); ++i) sheet += (i > 0 ? "," : "") + cell(cells[i]);
    sheet += "\r\n";
  };
  add_row(std::vector<std::string>(std::begin(kColumns), std::end(kColumns)));
  for (const CalibrationItem& item : items) {
    const GoldLabel* label = labels.find(item.id, by);
    const bool said = label != nullptr;
    add_row(std::vector<std::string>{
        item.id, item_kind_name(item.kind), text_of(item.context), said_later(item), to_judge(item),
        by, said ? label_text(*label) : "", said ? joined_lines(label->missing) : "",
        said ? label->note : ""});
  }
  return sheet;
}

std::vector<GoldLabel> read_gold_sheet(std::istream& in, const std::string& name,
                                       const ItemIndex& items, const std::string& by) {
  CsvReader reader(in, name);
  std::vector<std::string> columns;
  std::vector<GoldLabel> labels;
  while (auto next = reader.next()) {
    const CsvRow row = std::move(*next).value_or_throw();
    if (columns.empty()) {
      columns = row.fields;
      for (const char* needed : {"item", "label"}) {
        if (std::find(columns.begin(), columns.end(), needed) == columns.end()) {
          fail_input(name + ":" + std::to_string(row.line) + ": no column '" + needed + "'");
        }
      }
      continue;
    }
    Row cells;
    for (size_t i = 0; i < std::min(columns.size(), row.fields.size()); ++i) {
      cells[columns[i]] = row.fields[i];
    }
    try {
      if (trim(cells["label"]).empty()) {
        if (trim(cells["missing"]).empty()) continue;
        fail_input(
            "'missing' is filled in and 'label' is not: say right, wrong or ? of each fact, or "
            "none where there is no fact");
      }
      labels.push_back(label_of(cells, items, by));
    } catch (const Failure& failure) {
      fail_input(name + ":" + std::to_string(row.line) + ": " + failure.what());
    }
  }
  return labels;
}

}  // namespace l2a
