#include "reward/verdict.h"

#include <algorithm>
#include <cmath>

#include "base/utf8.h"
#include "hindsight/extract.h"

namespace l2a {
namespace {

// "fever, cough, age, allergies?": a question mark, but no form of a question, and nothing but
// short pieces between separators.
bool is_keyword_list(const std::string& question, const QuestionForms& forms) {
  if (forms.has_question_form(question)) return false;
  size_t pieces = 0;
  size_t begin = 0;
  while (begin <= question.size()) {
    const size_t end = std::min(question.find_first_of(",;/|+", begin), question.size());
    const size_t length = words(std::string_view(question).substr(begin, end - begin)).size();
    if (length > 3) return false;
    if (length > 0) ++pieces;
    begin = end + 1;
  }
  return pieces >= 3;
}

// Length of the longest run of consecutive words that both have.
size_t longest_common_run(const std::vector<std::string>& a, const std::vector<std::string>& b) {
  std::vector<size_t> run(b.size() + 1, 0);  // ending at a[i], b[j - 1]
  size_t longest = 0;
  for (const std::string& word : a) {
    for (size_t j = b.size(); j > 0; --j) {
      run[j] = word == b[j - 1] ? run[j - 1] + 1 : 0;
      longest = std::max(longest, run[j]);
    }
  }
  return longest;
}

// Most of the question is one run of words that the user said.
bool copies_the_user(const std::string& question, std::span<const Turn> context) {
  constexpr size_t kFewestWords = 4;  // "in the car" proves nothing
  constexpr double kCopiedShare = 0.7;
  const auto asked = words(question);
  if (asked.size() < kFewestWords) return false;
  const auto needed =
      static_cast<size_t>(std::ceil(kCopiedShare * static_cast<double>(asked.size())));
  return std::any_of(context.begin(), context.end(), [&](const Turn& turn) {
    return turn.role == Role::kUser && longest_common_run(asked, words(turn.text)) >= needed;
  });
}

std::string flaw_of(const std::string& question, const GradeRequest& request,
                    const QuestionForms& forms) {
  if (is_keyword_list(question, forms)) return "a list of keywords";
  if (copies_the_user(question, request.context)) return "the user's own words";
  return "";
}

struct Nearest {
  double similarity = -1;  // below any cosine
  const std::string* text = nullptr;
};

Nearest nearest(const std::string& question, const std::vector<std::string>& texts,
                const Similarity& similarity) {
  Nearest best;
  for (const std::string& text : texts) {
    const double s = similarity(question, text);
    if (best.text == nullptr || s > best.similarity) best = {s, &text};
  }
  return best;
}

Grade grade_question(const std::string& question, const Comparison& compared,
                     const SimilarityThresholds& thresholds, const Similarity& similarity) {
  const Nearest open = nearest(question, compared.open, similarity);
  const Nearest known = nearest(question, compared.known, similarity);
  if (open.text == nullptr) return {0, "nothing was left to ask"};
  if (known.similarity > open.similarity) return {0, "known: '" + shown(*known.text) + "'"};
  const std::string item = "'" + shown(*open.text) + "'";
  if (open.similarity >= thresholds.same) return {1, "asks for " + item};
  if (open.similarity >= thresholds.near) return {0.5, "in the direction of " + item};
  return {0, "irrelevant, nearest is " + item};
}

}  // namespace

Comparison comparison_of(const GradeRequest& request, const QuestionForms& forms) {
  Comparison compared;
  compared.questions = forms.questions(request.question);
  for (const std::string& question : compared.questions) {
    compared.flaws.push_back(flaw_of(question, request, forms));
  }
  for (const Item& item : request.wanted) {
    compared.open.push_back(item.question);
    compared.open.push_back(item.question + " " + item.fact);
  }
  for (const KnownQuestion& known :
       known_questions(request.context, request.context.size(), forms)) {
    compared.known.push_back(known.question);
    compared.known.push_back(known.question + " " + known.answer);
  }
  return compared;
}

Grade verdict(const Comparison& compared, const SimilarityThresholds& thresholds,
              const Similarity& similarity) {
  std::vector<Grade> grades;
  for (size_t i = 0; i < compared.questions.size(); ++i) {
    if (!compared.flaws[i].empty()) {
      grades.push_back({0, compared.flaws[i]});
    } else {
      grades.push_back(grade_question(compared.questions[i], compared, thresholds, similarity));
    }
  }
  return combine(grades);
}

Grade combine(const std::vector<Grade>& grades) {
  if (grades.empty()) return {0, "asks nothing"};
  double sum = 0;
  for (const Grade& grade : grades) sum += grade.content;
  const double mean = sum / static_cast<double>(grades.size());
  const auto flaw = std::find_if(grades.begin(), grades.end(),
                                 [](const Grade& grade) { return grade.content < 1; });
  const Grade& telling = flaw == grades.end() ? grades.front() : *flaw;
  std::string reason = telling.reason;
  if (grades.size() > 1) {
    reason = "of " + std::to_string(grades.size()) + " questions, one: " + reason;
  }
  return {std::floor(2 * mean) / 2, reason};
}

}  // namespace l2a
