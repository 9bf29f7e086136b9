// Questions in free text: which sentences ask something, and how many. By rule, for any script.
//
// A sentence asks when it has a question mark of any script (?, ？, ؟, ;, ՞, ...), or when one of
// its clauses opens with (or, in languages without word order for it, contains) a question or
// request form of a language's list: "what is", "do you", "tell me", "多久", ... The lists are
// files, prompts/questions/<language>.txt, so that a team can add its own; their format: phrases.h.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "hindsight/phrases.h"
#include "hindsight/sentence.h"

namespace l2a {

// Immutable once loaded; thread-safe. Texts are valid UTF-8.
class QuestionForms {
 public:
  explicit QuestionForms(Phrases phrases) : phrases_(std::move(phrases)) {}
  // Every *.txt of the folder, in name order. Throws Failure naming file and line.
  static QuestionForms load(const std::filesystem::path& directory);

  // Sentences of the text: split after sentence-ending punctuation of any script and at newlines,
  // trimmed, none empty. "Dr.", "3.5" and "e.g." do not end one.
  static std::vector<std::string> sentences(std::string_view text);

  bool has_question_mark(std::string_view text) const;  // in some sentence that says something
  bool has_question_form(std::string_view text) const;  // some sentence has a form of the lists
  bool asks(std::string_view sentence) const;           // either
  // The sentences that ask, in order. What the number of questions is counted on. Several questions
  // joined in one sentence ("How old are you and do you smoke and since when?") count once each
  // where a new question form follows a conjunction or comma, and are returned apart. What counts
  // once: a lead-in ("Tell me, how old are you?"), one alternative ("is it sharp or is it dull?"),
  // a request with its tail ("Check the fuse and let me know."). What counts not at all: a sentence
  // of fillers only ("Okay?").
  std::vector<std::string> questions(std::string_view text) const;

  // What stands before the first question of a user's sentence: "I've a fever, ..."; all of it when
  // it asks nothing ("几天了" is an amount there), nothing where it cannot be told ("Fever?"). A
  // view of `sentence`.
  std::string_view before_question(std::string_view sentence) const;

  // Only fillers: "OK.", "All right?", "好吗？"; also a text without a word.
  bool is_filler(std::string_view text) const;

  const Phrases& phrases() const { return phrases_; }

 private:
  std::vector<size_t> question_starts(std::string_view sentence, bool is_answer = false) const;
  Phrases phrases_;
};

// The words of a question joined by single spaces: equal for questions that differ only in
// case, punctuation, spacing or compatibility forms.
std::string question_key(std::string_view question);

}  // namespace l2a
