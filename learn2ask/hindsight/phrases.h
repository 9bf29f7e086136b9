// The phrase lists of prompts/questions/<language>.txt.
//
//   # a comment
//   [questions]          the section of the lines below; this one when none is named
//   do you               stands at the start of a clause
//   *let me know         stands anywhere in it
//
// Phrases are compared as base/utf8.h words: case, punctuation and spacing do not count, and each
// Han character is a word.
#pragma once

#include <array>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/error.h"

namespace l2a {

enum class PhraseKind {
  kQuestion,     // [questions]: asks or requests
  kNotQuestion,  // [not questions]: looks like one of these, is none
  kAmount,       // [amounts]: a question where the expert says it, "several" where the user does
  kJoiner,       // [joiners]: may stand before a question, says nothing itself
  kAlternative,  // [alternatives]: "or"
  kContrast,     // [contrast]: "but", which parts the clauses of an answer without a comma
  kAsksBack,     // [asks back]: the user needs help to answer
  kExplain,      // [explain]: after "I don't know", so does this ("how to check")
  kUnknown,      // [unknown]: the user cannot say
  kThanks,       // [thanks]: thanks, greetings, acknowledgements
  kYesNo,        // [yes or no]: an answer, but no fact that another place could state
  kFunction,     // [function words]: carry no fact
};
inline constexpr size_t kPhraseKinds = 12;

// Phrases of one kind. Immutable once filled; thread-safe.
class PhraseList {
 public:
  void add(std::vector<std::string> phrase, bool anywhere);
  // The number of words of the longest phrase that stands at words[at]; 0 when none does. Phrases
  // for the start of a clause only count when `clause_start`.
  size_t match(std::span<const std::string> words, size_t at, bool clause_start) const;

 private:
  struct Phrase {
    std::vector<std::string> words;
    bool anywhere = false;
  };
  std::unordered_map<std::string, std::vector<Phrase>> by_first_word_;
};

// The lists of all languages together.
class Phrases {
 public:
  // Every *.txt of the folder, in name order. Throws Failure naming file and line.
  static Phrases load(const std::filesystem::path& directory);
  // Adds the lines of one file, named `name` in messages.
  void add(std::string_view text, const std::string& name);

  // Of all files' text: stands in the header of what is derived with them.
  std::string sha256() const;

  const PhraseList& of(PhraseKind kind) const { return lists_[static_cast<size_t>(kind)]; }

 private:
  std::array<PhraseList, kPhraseKinds> lists_;
  std::string source_;
};

}  // namespace l2a
