#include "reward/labelled_questions.h"

namespace l2a {
namespace {

std::vector<std::string> texts_in(const Json& labels, const char* key) {
  std::vector<std::string> texts;
  const auto found = labels.find(key);
  if (found == labels.end()) return texts;
  if (!found->is_array()) fail_input(std::string("labels: '") + key + "': expected a list");
  for (const Json& text : *found) {
    if (!text.is_string()) fail_input(std::string("labels: '") + key + "': expected texts");
    texts.push_back(text.get<std::string>());
  }
  return texts;
}

}  // namespace

std::optional<MessageLabels> labels_of(const Message& message) {
  const auto labels = message.extra.find("labels");
  if (labels == message.extra.end()) return std::nullopt;
  if (!labels->is_object()) fail_input("labels: expected an object");
  auto act = get_string_or(*labels, "act", "");
  if (!act) fail_input("labels: " + act.error().message);
  return MessageLabels{std::move(*act), texts_in(*labels, "attributes"), texts_in(*labels, "about")};
}

std::string group_of(const Session& session) {
  const auto group = session.extra.find("diagn");
  return group != session.extra.end() && group->is_string() ? group->get<std::string>() : "";
}

std::vector<LabelledQuestion> labelled_questions(const Session& session,
                                                 const QuestionForms& forms) {
  std::vector<LabelledQuestion> found;
  for (const Message& message : session.messages) {
    if (message.role != Role::kAssistant) continue;
    const auto labels = labels_of(message);
    if (!labels || labels->act != "ask" || labels->attributes.size() != 1) continue;
    auto questions = forms.questions(message.text);
    if (questions.size() != 1) continue;
    found.push_back({session.id, group_of(session), labels->attributes[0], std::move(questions[0])});
  }
  return found;
}

}  // namespace l2a
