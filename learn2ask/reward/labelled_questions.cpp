#include "reward/labelled_questions.h"

#include "base/json.h"

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

// The text under `key` of the generator's truth about a session or message; empty when there is
// none.
std::string truth_of(const Json& extra, const char* key) {
  const auto truth = extra.find("truth");
  if (truth == extra.end() || !truth->is_object()) return "";
  const auto text = get_string_or(*truth, key, "");
  if (!text) fail_input("truth: " + text.error().message);
  return *text;
}

}  // namespace

std::optional<MessageLabels> labels_of(const Message& message) {
  const auto labels = message.extra.find("labels");
  if (labels == message.extra.end()) {
    const std::string asked = truth_of(message.extra, "asked");
    if (asked.empty()) return std::nullopt;
    return MessageLabels{"ask", {asked}, {}};
  }
  if (!labels->is_object()) fail_input("labels: expected an object");
  auto act = get_string_or(*labels, "act", "");
  if (!act) fail_input("labels: " + act.error().message);
  return MessageLabels{std::move(*act), texts_in(*labels, "attributes"),
                       texts_in(*labels, "about")};
}

std::string group_of(const Session& session) {
  const auto group = session.extra.find("diagn");
  if (group != session.extra.end() && group->is_string()) return group->get<std::string>();
  return truth_of(session.extra, "complaint");
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
    found.push_back(
        {session.id, group_of(session), labels->attributes[0], std::move(questions[0])});
  }
  return found;
}

std::vector<std::vector<std::string>> open_attributes(const Session& session) {
  const std::vector<Turn> turns = turns_of(session);
  std::vector<std::vector<std::string>> open(turns.size());
  std::vector<std::string> later;
  for (size_t t = turns.size(); t-- > 0;) {
    for (size_t i = 0; turns[t].role == Role::kAssistant && i < turns[t].message_count; ++i) {
      const auto labels = labels_of(session.messages[turns[t].first_message + i]);
      if (!labels) continue;
      later.insert(later.end(), labels->attributes.begin(), labels->attributes.end());
      later.insert(later.end(), labels->about.begin(), labels->about.end());
    }
    open[t] = later;
  }
  return open;
}

}  // namespace l2a
