// Questions that people labelled with the attribute they ask for, read off sessions whose messages
// carry {"labels": {"act": "ask", "attributes": [...]}} (the form of ../shared/data/flodial).
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "dialogue/session.h"
#include "hindsight/question.h"

namespace l2a {

struct MessageLabels {
  std::string act;                      // "ask", "clarify", "solve", ...
  std::vector<std::string> attributes;  // asked, or, in a user's message, answered
  std::vector<std::string> about;       // on "clarify": what the next user message answers
};
// nullopt when the message has none. Throws Failure when they are of another form.
std::optional<MessageLabels> labels_of(const Message& message);

struct LabelledQuestion {
  std::string session_id;
  std::string group;  // of attributes that may be confused: the session's "diagn"; may be empty
  std::string attribute;
  std::string question;
};
// The expert's messages labelled "ask" with one attribute, of which one sentence asks.
std::vector<LabelledQuestion> labelled_questions(const Session& session,
                                                 const QuestionForms& forms);

std::string group_of(const Session& session);

}  // namespace l2a
