// What calibrate's tests share.
#pragma once

#include <algorithm>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "base/jsonl.h"
#include "calibrate/calibration_item.h"
#include "calibrate/gold_label.h"

namespace l2a {

inline Json parsed(const std::string& text) { return parse_json(text).value_or_throw(); }

// The first line of a file that this program wrote.
inline std::string header_of(const std::string& format) {
  FileHeader header;
  header.format = format;
  return dump_json(to_json(header)) + "\n";
}

inline Turn user_says(std::string text) { return {.role = Role::kUser, .text = std::move(text)}; }
inline Turn expert_says(std::string text) {
  return {.role = Role::kAssistant, .text = std::move(text)};
}

inline CalibrationItem grade_item(const std::string& id, const std::string& context_id = "s/1") {
  CalibrationItem item{.id = id, .context_id = context_id, .context = {user_says("I cough.")}};
  Item open;
  open.question = "How old are you?";
  open.fact = "34";
  item.open = {open};
  item.reply = "Your age?";
  return item;
}

// Where the user first says exactly this in the item's future.
inline SaidRange said_at(const CalibrationItem& item, const std::string& text) {
  for (size_t i = 0; i < item.future.size(); ++i) {
    const size_t begin = item.future[i].text.find(text);
    if (item.future[i].role != Role::kUser || begin == std::string::npos) continue;
    return {.turn = item.context.size() + i, .bytes = {begin, begin + text.size()}};
  }
  ADD_FAILURE() << "nobody says '" << text << "'";
  return {};
}

// With these words of the user claimed: "34", "I smoke", "No fever" and "since Monday" are said.
inline CalibrationItem extract_item(const std::string& id, const std::vector<std::string>& facts,
                                    const std::string& context_id = "s/1") {
  CalibrationItem item{.id = id,
                       .kind = ItemKind::kExtract,
                       .context_id = context_id,
                       .context = {user_says("I cough.")}};
  item.future = {expert_says("How old are you?"), user_says("I am 34, and I smoke."),
                 expert_says("Any fever?"), user_says("No fever, but a cold since Monday.")};
  for (const std::string& fact : facts) {
    item.claims.push_back({.question = "Any?", .fact = fact, .said = said_at(item, fact)});
  }
  return item;
}

inline CalibrationItem stop_item(const std::string& id, std::optional<Decision> decision,
                                 const std::string& context_id = "s/1") {
  CalibrationItem item{.id = id,
                       .kind = ItemKind::kStop,
                       .context_id = context_id,
                       .context = {user_says("I cough.")}};
  item.future = {expert_says("Take this.")};
  item.decision = decision;
  return item;
}

inline GoldLabel graded(const std::string& item, const std::string& by, double grade) {
  return {.item = item, .by = by, .grade = grade};
}
inline GoldLabel decided(const std::string& item, const std::string& by, Decision decision) {
  return {.item = item, .by = by, .decision = decision};
}
inline GoldLabel judged(const std::string& item, const std::string& by,
                        std::vector<std::optional<bool>> claims) {
  return {.item = item, .by = by, .claims = std::move(claims)};
}

// Krippendorff's ordinal alpha of the classes that each item was given, without a table: one less
// the mean squared distance of values of one item over that of any two values. The distance of two
// classes is the number of values from the middle of the one to the middle of the other.
inline std::optional<double> literal_alpha(const std::vector<std::vector<size_t>>& items) {
  std::vector<size_t> all;  // that have a partner
  for (const auto& values : items) {
    if (values.size() > 1) all.insert(all.end(), values.begin(), values.end());
  }
  const auto squared_distance = [&](size_t a, size_t b) {
    double distance = 0;
    for (const size_t value : all) {
      if (value == a || value == b) distance += 0.5;
      if (value > std::min(a, b) && value < std::max(a, b)) distance += 1;
    }
    return a == b ? 0.0 : distance * distance;
  };
  double observed = 0, expected = 0;
  for (const auto& values : items) {
    for (const size_t a : values) {
      for (const size_t b : values) {
        if (values.size() < 2) continue;
        observed += squared_distance(a, b) / static_cast<double>(values.size() - 1);
      }
    }
  }
  for (const size_t a : all) {
    for (const size_t b : all) expected += squared_distance(a, b);
  }
  if (expected == 0) return std::nullopt;
  const auto n = static_cast<double>(all.size());
  return 1 - (observed / n) / (expected / (n * (n - 1)));
}

}  // namespace l2a
