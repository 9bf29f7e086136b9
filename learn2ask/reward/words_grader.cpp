#include "reward/words_grader.h"

#include <algorithm>
#include <set>

#include <fmt/format.h>

#include "hindsight/reply.h"
#include "reward/verdict.h"

namespace l2a {

double word_overlap(std::string_view a, std::string_view b, const QuestionForms& forms) {
  const auto words_a = content_words(a, forms), words_b = content_words(b, forms);
  const std::set<std::string> set_a(words_a.begin(), words_a.end());
  const std::set<std::string> set_b(words_b.begin(), words_b.end());
  if (set_a.empty() || set_b.empty()) return 0;
  const auto shared = std::count_if(set_a.begin(), set_a.end(),
                                    [&](const std::string& word) { return set_b.contains(word); });
  return 2.0 * static_cast<double>(shared) / static_cast<double>(set_a.size() + set_b.size());
}

WordsGrader::WordsGrader(const QuestionForms& forms, const GraderThresholds& thresholds)
    : forms_(forms), thresholds_(thresholds.words) {}

std::string WordsGrader::name() const {
  return fmt::format("words (same {}, near {})", thresholds_.same, thresholds_.near);
}

std::vector<Result<Grade>> WordsGrader::grade(std::span<const GradeRequest> requests) {
  const Similarity overlap = [&](const std::string& a, const std::string& b) {
    return word_overlap(a, b, forms_);
  };
  std::vector<Result<Grade>> grades;
  grades.reserve(requests.size());
  for (const GradeRequest& request : requests) {
    grades.push_back(verdict(comparison_of(request, forms_), thresholds_, overlap));
  }
  return grades;
}

}  // namespace l2a
