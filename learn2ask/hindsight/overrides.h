// A person's corrections of labels. They are laid over whatever rules or models say each time the
// sessions are labelled, so labelling again keeps them.
//
// A file of them is JSONL, a line a correction of one expert turn:
//
//   {"session": "12", "turn": 3, "decision": "continue"}
//   {"session": "12", "turn": 5, "wanted": [{"question": "Any fever?", "fact": "no fever"}]}
//
// `turn` counts turns as the labels do; `wanted` is the whole I* of the turn, and each fact a
// quotation of what the user says after it, in the turn "answer_turn" where the pair has that key;
// other keys are left alone.
#pragma once

#include <cstddef>
#include <filesystem>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "dialogue/action.h"
#include "dialogue/session.h"
#include "hindsight/sample.h"

namespace l2a {

struct Override {
  struct Pair {
    std::string question, fact;
    std::optional<size_t> answer_turn;  // where the fact is said; nullopt: first
  };
  std::optional<Decision> decision;
  std::optional<std::vector<Pair>> wanted;
  std::string where;  // FILE:LINE
};

// Not thread-safe.
class Overrides {
 public:
  // Throws Failure naming FILE:LINE: no such form, nothing corrected, the same turn twice.
  static Overrides load(const std::filesystem::path& path);

  // Of a turn; null where nobody corrected it.
  const Override* find(const std::string& session, size_t turn) const;
  void mark_used(const std::string& session, size_t turn);  // one that is there
  // Throws Failure naming the first that was not used: its session is not there, stops before it,
  // or has no expert turn there.
  void refuse_unused() const;

  const std::string& sha256() const { return sha256_; }  // of the file

 private:
  struct Kept {
    Override correction;
    bool used = false;
  };
  std::map<std::pair<std::string, size_t>, Kept> by_turn_;
  std::string sha256_;
};

// The items that a person wants at `turn`. Throws Failure, naming the correction, for a fact that
// the user does not state in the turns after it.
std::vector<Item> items_of(const Override& correction, const Session& session,
                           std::span<const Turn> turns, size_t turn);

}  // namespace l2a
