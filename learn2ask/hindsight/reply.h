// What a user's sentence does after the expert has asked, and which of its words carry a fact.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "hindsight/question.h"

namespace l2a {

enum class ReplyKind {
  kFact,      // says something: "Three days.", "Yes."
  kUnknown,   // "I don't know", "not sure"
  kAsksBack,  // a question, or help wanted to find out: "I don't know how to check that"
  kNothing,   // thanks, greetings, acknowledgements, no word at all
};

// Of one sentence. "I don't know, maybe three days" is a fact: a clause beside the unknown one
// says something ("but" parts clauses without a comma, too). "No, what should I do?" is a fact, for
// its answer before it asks; "If it won't, what should I do?" asks back.
ReplyKind reply_kind(std::string_view sentence, const QuestionForms& forms);

// The part of the user's sentence that states something, of a fact or before a question back; a
// view of it, empty when none does. Without a question mark, "my son, who has had a cough" states
// all.
std::string_view statement_of(std::string_view sentence, const QuestionForms& forms);

// The words of the text but for the languages' function words, in order, repeats kept; none when
// it says only yes or no, which are facts of their question and of no other. Characters
// of scripts written without spaces stand in overlapping pairs ("三天" is one content word), alone
// where a neighbour is none.
std::vector<std::string> content_words(std::string_view text, const QuestionForms& forms);

}  // namespace l2a
