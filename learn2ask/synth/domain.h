// A domain: what people complain about, which facts matter for each complaint, and how both sides
// put them into words. Read from YAML; docs/formats/domain.md describes the file.
//
// The generator (generate.h) turns a domain into logs, the recogniser (recognise.h) reads questions
// with it, and the truth grader (truth_grader.h) holds replies against it.
#pragma once

#include <cstddef>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"

namespace l2a {

// One kind of answer to a slot, such as "yes" or "high"; conditions refer to it by its name.
struct AnswerClass {
  std::string name;
  std::vector<std::string> of;   // values; empty: the class has no detail, its name is the value
  std::vector<std::string> say;  // wordings of the answer; templates
  std::vector<std::string> volunteer;  // the same as an unasked sentence; may be empty
  double weight = 1;                   // drawn in proportion to it; > 0
  bool urgent = false;                 // known, it ends the asking: the user is referred at once
};

// Holds when the value of `slot` is of one of `classes`.
struct Condition {
  size_t slot = 0;
  std::vector<size_t> classes;
};

// One fact that an expert may ask for.
struct Slot {
  std::string name;
  std::vector<std::string> ask;   // wordings of the question; templates
  std::vector<std::string> cues;  // what the recogniser looks for: see recognise.h
  std::vector<AnswerClass> classes;
  std::vector<Condition> when;  // matters only if all of them hold
  bool may_be_unsure = true;    // a user may answer "I don't know"
};

struct Complaint {
  std::string name;
  std::vector<std::string> say;  // wordings of the first message; templates
  std::vector<size_t> slots;     // what matters, in the order an expert asks
  // Facts that the complaint itself gives: slot and class. Never asked.
  std::vector<std::pair<size_t, size_t>> known;
  std::vector<std::string> advice;  // what a closing recommends; templates
};

// A template may hold {a|b|c}, one of which is drawn, and {value} (in `say` and `volunteer` of a
// class with `of`) or {advice} (in `closings`).
struct Domain {
  std::string name;
  std::vector<Slot> slots;
  std::vector<Complaint> complaints;
  std::vector<std::string> general_ask, general_cues;  // questions too general for any slot
  std::vector<std::string> unsure;                     // "I don't know."
  std::vector<std::string> greetings;                  // before a first message
  std::vector<std::string> asides;                     // small talk of chatty users; gives no fact
  std::vector<std::string> closings;                   // the expert's last message; asks nothing
  std::vector<std::string> referrals;                  // the same after an urgent fact
  std::string sha256;                                  // of the file's bytes

  std::optional<size_t> find_slot(std::string_view slot_name) const;
};

// Throws Failure: kNotFound, or "domain: FILE:LINE: why" for anything that the description does
// not allow (unknown or missing keys, unknown slots and classes, an order in which a slot comes
// before one that its condition needs, a template or a cue that can't be read).
Domain read_domain(const std::filesystem::path& path);
// The same from text; `file_name` stands in messages.
Domain parse_domain(const std::string& yaml, const std::string& file_name);

}  // namespace l2a
