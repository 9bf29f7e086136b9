// Questions labelled with the attribute they ask for: by people, read off sessions whose messages
// carry {"labels": {"act": "ask", "attributes": [...]}}; or by the generator, whose messages carry
// {"truth": {"asked": ...}} (docs/formats/sessions.md has both).
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
// People's, or else the generator's "truth.asked"; nullopt when the message has neither. Throws
// Failure when they are of another form.
std::optional<MessageLabels> labels_of(const Message& message);

struct LabelledQuestion {
  std::string session_id;
  std::string group;  // of attributes that may be confused; may be empty
  std::string attribute;
  std::string question;
};
// The expert's messages labelled "ask" with one attribute, of which one sentence asks.
std::vector<LabelledQuestion> labelled_questions(const Session& session,
                                                 const QuestionForms& forms);

// The session's "diagn", or the generator's "truth.complaint"; empty when it has neither.
std::string group_of(const Session& session);

// For each turn, the attributes that the expert asks for at it or later.
std::vector<std::vector<std::string>> open_attributes(const Session& session);

}  // namespace l2a
