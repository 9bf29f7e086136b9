// Fixtures of this module's tests: the shipped domains, and truth read back from messages.
#pragma once

#include <fstream>
#include <string>
#include <utility>
#include <vector>

#include "base/jsonl.h"
#include "synth/domain.h"
#include "synth/recognise.h"

namespace l2a::testing {

inline const QuestionForms& question_forms() {
  static const QuestionForms forms =
      QuestionForms::load(std::string(L2A_SOURCE_DIR) + "/prompts/questions");
  return forms;
}

inline Domain shipped_domain(const std::string& name) {
  return read_domain(std::string(L2A_SOURCE_DIR) + "/domains/" + name + ".yaml");
}

inline FileHeader sessions_header() {
  FileHeader header;
  header.format = "sessions";
  header.command = "learn2ask generate";
  return header;
}

// Pairs (slot, question) of tests/wordings/<name>.tsv.
inline std::vector<std::pair<std::string, std::string>> wordings_of(const std::string& name) {
  std::ifstream in(std::string(L2A_SOURCE_DIR) + "/tests/wordings/" + name + ".tsv");
  std::vector<std::pair<std::string, std::string>> wordings;
  for (std::string line; std::getline(in, line);) {
    const size_t tab = line.find('\t');
    if (line.starts_with('#') || tab == line.npos) continue;
    wordings.emplace_back(line.substr(0, tab), line.substr(tab + 1));
  }
  return wordings;
}

// What a question is recognised as: a slot's name, "general", "unknown" or "nothing".
inline std::string recognised_name(const Domain& domain, const Recognised& r) {
  switch (r.kind) {
    case Recognised::Kind::kSlot:
      return domain.slots[r.slot].name;
    case Recognised::Kind::kGeneral:
      return "general";
    case Recognised::Kind::kUnknown:
      return "unknown";
    default:
      return "nothing";
  }
}

}  // namespace l2a::testing
