// What hindsight's tests share.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "hindsight/extract.h"
#include "hindsight/label.h"

namespace l2a {

inline const QuestionForms& shipped_forms() {
  static const QuestionForms kForms = QuestionForms::load(L2A_SOURCE_DIR "/prompts/questions");
  return kForms;
}

// A session from "u: text" and "a: text" lines; "a[solve]: text" carries labels.act.
inline Session session_of(const std::vector<std::string>& lines) {
  Session session{.id = "s", .system = {}, .messages = {}, .tail = {}, .stop_seen = {}};
  for (const std::string& line : lines) {
    const size_t colon = line.find(": ");
    Message message{.role = line[0] == 'u' ? Role::kUser : Role::kAssistant,
                    .text = line.substr(colon + 2)};
    if (line[1] == '[') message.extra["labels"]["act"] = line.substr(2, colon - 3);
    session.messages.push_back(std::move(message));
  }
  return session;
}

inline LabelledSession label_by_rules(const Session& session, const LabelOptions& options = {}) {
  RuleExtractor extractor(shipped_forms());
  return Labeller(options, shipped_forms(), extractor).label(session).session.value_or_throw();
}
inline LabelledSession label_by_rules(const std::vector<std::string>& lines,
                                      const LabelOptions& options = {}) {
  return label_by_rules(session_of(lines), options);
}

}  // namespace l2a
