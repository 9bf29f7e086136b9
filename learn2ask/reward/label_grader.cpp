#include "reward/label_grader.h"

#include <algorithm>
#include <charconv>

#include "base/utf8.h"
#include "reward/verdict.h"

namespace l2a {
namespace {

struct ContextId {
  std::string session;
  size_t turn = 0;
};

ContextId parse_context_id(const std::string& id) {
  const size_t slash = id.rfind('/');
  check(slash != id.npos, "LabelGrader: a context id without a turn");
  ContextId parsed{id.substr(0, slash)};
  const char* end = id.data() + id.size();
  const auto [stop, error] = std::from_chars(id.data() + slash + 1, end, parsed.turn);
  check(error == std::errc() && stop == end, "LabelGrader: a context id without a turn");
  return parsed;
}

bool has_labels(const Session& session) {
  return std::any_of(session.messages.begin(), session.messages.end(), [](const Message& message) {
    return message.role == Role::kAssistant && labels_of(message);
  });
}

std::vector<std::string> texts_of(const std::vector<LabelledQuestion>& questions) {
  std::vector<std::string> texts;
  for (const LabelledQuestion& question : questions) texts.push_back(question.question);
  return texts;
}

}  // namespace

QuestionBank::QuestionBank(std::vector<LabelledQuestion> questions, const QuestionForms& forms)
    : questions_(std::move(questions)), index_(texts_of(questions_), forms) {}

QuestionBank::Match QuestionBank::nearest(const std::string& text,
                                          const std::string& session_id) const {
  const auto of_another = [&](size_t i) { return questions_[i].session_id != session_id; };
  const auto found = index_.nearest(text, of_another);
  return found ? Match{found->cosine, &questions_[found->text]} : Match{};
}

LabelGrader::LabelGrader(const std::vector<Session>& bank, const std::vector<Session>& graded,
                         const QuestionForms& forms)
    : forms_(forms) {
  std::map<std::string, std::vector<LabelledQuestion>> by_group;
  for (const Session& session : bank) {
    for (LabelledQuestion& q : labelled_questions(session, forms)) {
      by_group[q.group].push_back(std::move(q));
    }
  }
  for (auto& [group, questions] : by_group) {
    banks_.emplace(group, QuestionBank(std::move(questions), forms));
  }
  for (const Session& session : graded) {
    if (!has_labels(session)) continue;
    const bool is_new =
        sessions_.try_emplace(session.id, group_of(session), open_attributes(session)).second;
    if (!is_new) fail_input("labels grader: session '" + shown(session.id) + "' is there twice");
  }
}

std::vector<Result<Grade>> LabelGrader::grade(std::span<const GradeRequest> requests) {
  std::vector<Result<Grade>> grades;
  grades.reserve(requests.size());
  for (const GradeRequest& request : requests) grades.push_back(grade_one(request));
  return grades;
}

Result<Grade> LabelGrader::grade_one(const GradeRequest& request) const {
  const ContextId id = parse_context_id(request.context_id);
  const auto unknown = [&](const std::string& why) {
    return Error{ErrorCode::kNotFound, "labels grader: " + request.context_id + ": " + why};
  };
  const auto session = sessions_.find(id.session);
  if (session == sessions_.end()) return unknown("its session is not among the labelled ones");
  const GradedSession& labelled = session->second;
  if (id.turn >= labelled.open.size()) return unknown("its labelled session has no such turn");
  const auto bank = banks_.find(labelled.group);
  if (bank == banks_.end()) return unknown("no labelled question of '" + labelled.group + "'");

  std::vector<Grade> grades;
  for (const std::string& question : forms_.questions(request.question)) {
    const auto match = bank->second.nearest(question, id.session);
    if (match.cosine < kResembles) {
      grades.push_back({0, "resembles no labelled question"});
      continue;
    }
    const auto& open = labelled.open[id.turn];
    const std::string& attribute = match.question->attribute;
    const bool wanted = std::find(open.begin(), open.end(), attribute) != open.end();
    grades.push_back({wanted ? 1.0 : 0.0, "asks for '" + shown(attribute) + "'" +
                                              (wanted ? "" : ", which is not asked from here on")});
  }
  return combine(grades);
}

}  // namespace l2a
