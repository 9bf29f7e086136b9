// Questions in free text: which sentences ask something. By rule, for any script.
//
// A sentence asks when it ends in a question mark of any script (?, ？, ؟, ;, ՞, ...), or opens
// with (or, in languages without word order for it, contains) a question or request form of a
// language's list: "what", "do you", "tell me", "please describe", "多久", ... The lists are files,
// prompts/questions/<language>.txt, so that a team can add its own.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace l2a {

// Immutable once loaded; thread-safe.
class QuestionForms {
 public:
  // Every *.txt of the folder, in name order. Throws Failure naming file and line.
  static QuestionForms load(const std::filesystem::path& directory);

  // Sentences of the text: split after sentence-ending punctuation of any script and at newlines,
  // trimmed, none empty. "Dr.", "3.5" and "e.g." do not end one.
  static std::vector<std::string> sentences(std::string_view text);

  bool has_question_mark(std::string_view text) const;  // anywhere in the text
  bool has_question_form(std::string_view text) const;  // some sentence has a form of the lists
  bool asks(std::string_view sentence) const;           // either
  // The sentences that ask, in order. What the number of questions is counted on. Several questions
  // joined in one sentence ("How old are you and do you smoke and since when?") count once each
  // where a new question form follows a conjunction or comma.
  std::vector<std::string> questions(std::string_view text) const;

 private:
  struct Form {
    std::string text;      // normalised
    bool anywhere = false; // else only at the start of a sentence
  };
  std::vector<Form> forms_;
};

}  // namespace l2a
