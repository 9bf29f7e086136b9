// What people say about calibration items.
//
// A file of labels is JSONL ("gold_labels") and only grows: a line a judgement, and the last one of
// a person on an item counts.
//
//   {"item": ID, "by": NAME, "grade": 0.5, "note"?: "...", "time": "..."}      grade: 1, 0.5 or 0
//   {"item": ID, "by": NAME, "items": ["right", "wrong", null], "missing": ["since Monday"]}
//   {"item": ID, "by": NAME, "decision": "stop"}
//   {"item": ID, "by": NAME, "unsure": true}       of a grade item or a stop item
//   {"item": ID, "by": NAME, "undone": true}       as if never said
#pragma once

#include <map>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/headed_journal.h"
#include "calibrate/calibration_item.h"

namespace l2a {

inline constexpr size_t kLongestName = 40;  // bytes, of whoever labels

struct GoldLabel {
  std::string item, by;
  std::optional<double> grade = {};
  std::optional<Decision> decision = {};
  // Of an extract item: for each claim whether it is right; nullopt: not judged yet.
  std::optional<std::vector<std::optional<bool>>> claims = {};
  // Where the user says what no claim has.
  std::vector<std::string> missing = {};
  std::vector<SaidRange> missing_said = {};  // where each of them is said
  bool unsure = false, undone = false;
  std::string note = {};

  bool is_complete() const;  // says something, and for an extract item about each claim
};

// Items by id.
class ItemIndex {
 public:
  explicit ItemIndex(const std::vector<CalibrationItem>& items);  // which must outlive it
  const CalibrationItem* find(const std::string& id) const;       // null: there is none

 private:
  std::unordered_map<std::string, const CalibrationItem*> by_id_;
};

// kInvalidInput names the key: an unknown item, a judgement that its kind does not have, several or
// none of them, a quotation of what the user does not say in the item's future.
Result<GoldLabel> gold_label_from_json(const Json& line, const ItemIndex& items);
Json to_json(const GoldLabel& label);

// What counts of a file of labels. Not thread-safe.
class GoldLabels {
 public:
  void put(GoldLabel label);
  const GoldLabel* find(const std::string& item, const std::string& by) const;  // null: none
  // Of everybody who said something, by name.
  std::vector<const GoldLabel*> of(const std::string& item) const;
  std::vector<std::string> people() const;  // by name

  // The middle one of what people gave, the lower one of two; nullopt where nobody gave one.
  std::optional<double> grade_of(const std::string& item) const;
  // Of most people; nullopt where as many say the other, or nobody says anything.
  std::optional<Decision> decision_of(const std::string& item) const;

 private:
  std::map<std::string, std::map<std::string, GoldLabel>> by_item_;
};

// Adds the lines of a file, in their order. `items` holds what is judged. Throws Failure naming the
// line.
void read_gold_labels(const std::string& path, const ItemIndex& items, GoldLabels& labels);

// A file of labels that grows: each judgement is in it before put() returns. Not thread-safe; one
// process a file.
class GoldLabelFile {
 public:
  // Opens `path` or makes it. Throws Failure: what read_gold_labels throws; kIo.
  GoldLabelFile(const std::string& path, const ItemIndex& items);
  void put(GoldLabel label);  // Throws Failure (kIo)
  const GoldLabels& labels() const { return labels_; }

 private:
  HeadedJournal journal_;
  GoldLabels labels_;
};

}  // namespace l2a
