#include "reward/label_grader.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <set>

#include "base/utf8.h"
#include "hindsight/reply.h"
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

}  // namespace

QuestionBank::QuestionBank(std::vector<LabelledQuestion> questions, const QuestionForms& forms)
    : forms_(forms), questions_(std::move(questions)) {
  std::unordered_map<std::string, size_t> documents;
  for (const LabelledQuestion& q : questions_) {
    const auto content = content_words(q.question, forms_);
    for (const auto& word : std::set(content.begin(), content.end())) ++documents[word];
  }
  const auto total = static_cast<double>(questions_.size());
  for (const auto& [word, count] : documents) {
    idf_[word] = 1 + std::log(total / static_cast<double>(count));
  }
  rarest_idf_ = 1 + std::log(std::max(total, 1.0));
  for (const LabelledQuestion& q : questions_) vectors_.push_back(vector_of(q.question));
}

QuestionBank::Vector QuestionBank::vector_of(const std::string& text) const {
  Vector vector;
  for (const std::string& word : content_words(text, forms_)) {
    const auto known = idf_.find(word);
    vector[word] += known == idf_.end() ? rarest_idf_ : known->second;
  }
  double square = 0;
  for (const auto& [word, weight] : vector) square += weight * weight;
  for (auto& [word, weight] : vector) weight /= std::sqrt(square);
  return vector;
}

QuestionBank::Match QuestionBank::nearest(const std::string& text,
                                          const std::string& session_id) const {
  const Vector asked = vector_of(text);
  Match best;
  for (size_t i = 0; i < questions_.size(); ++i) {
    if (questions_[i].session_id == session_id) continue;
    double cosine = 0;
    for (const auto& [word, weight] : asked) {
      const auto shared = vectors_[i].find(word);
      if (shared != vectors_[i].end()) cosine += weight * shared->second;
    }
    if (cosine > best.cosine) best = {cosine, &questions_[i]};
  }
  return best;
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
