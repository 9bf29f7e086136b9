// What people are asked to judge, so that graders, extractors and prompts can be held against them.
//
// A file of items is JSONL ("calibration_items"), a line an item, with all that a person has to
// see:
//
//   {"id", "kind": "grade", "context": "12/3", "turns": [{"from", "text"}...],
//    "open": [{"question", "fact"}...], "reply": "...", "verdicts": {GRADER: 0.5 or null}, "why"}
//   {"id", "kind": "extract", "context", "turns", "future": [{"from", "text"}...],
//    "items": [{"question", "fact", "turn", "begin", "end"}...], "why"}
//   {"id", "kind": "stop", "context", "turns", "future", "decision": "stop", "why"}
//
// "from" is "user" or "expert". "future" begins with the expert's turn; "turn" counts on from
// "turns", and "begin" and "end" are bytes of its text.
#pragma once

#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/json.h"
#include "dialogue/action.h"
#include "dialogue/session.h"
#include "hindsight/sample.h"
#include "hindsight/sentence.h"

namespace l2a {

enum class ItemKind { kGrade, kExtract, kStop };
const char* item_kind_name(ItemKind kind);  // "grade", "extract", "stop"
Result<ItemKind> item_kind_from_name(const std::string& name);

// A stretch of what was said.
struct SaidRange {
  size_t turn = 0;  // of the session
  ByteRange bytes;  // of the turn's text

  friend bool operator==(const SaidRange&, const SaidRange&) = default;
};
bool overlap(const SaidRange& a, const SaidRange& b);

// What an extractor claims that the user said because the expert asked.
struct Claim {
  std::string question, fact;
  SaidRange said;
};

struct CalibrationItem {
  std::string id;
  ItemKind kind = ItemKind::kGrade;
  std::string context_id;                 // "<session>/<turn>"
  std::vector<Turn> context;              // C_t
  std::vector<Turn> future = {};          // extract, stop: from turn t on
  std::vector<Item> open = {};            // grade: I*_t, its questions and facts alone
  std::string reply = {};                 // grade: the question to judge
  std::vector<Claim> claims = {};         // extract
  std::optional<Decision> decision = {};  // stop: what the labels say
  std::map<std::string, std::optional<double>> verdicts = {};  // grade: by grader; nullopt: none
  std::string why = {};                                        // it was chosen

  std::string session() const;  // of context_id
};

// The same id for the same thing to judge.
std::string item_id(const CalibrationItem& item);

// [{"from", "text"}...], as items have them.
Json turns_to_json(std::span<const Turn> turns);
Json to_json(const CalibrationItem& item);
Result<CalibrationItem> calibration_item_from_json(const Json& line);

// Throws Failure naming the first line that is none, or whose id stands twice; for a file without
// any.
std::vector<CalibrationItem> read_calibration_items(const std::string& path);

// Where an item of a labelled session was said.
SaidRange said_range(const Item& item, const LabelledSession& session);

}  // namespace l2a
