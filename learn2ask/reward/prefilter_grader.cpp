#include "reward/prefilter_grader.h"

namespace l2a {

std::vector<Result<Grade>> PrefilterGrader::grade(std::span<const GradeRequest> requests) {
  auto grades = first_->grade(requests);
  std::vector<size_t> unsure;
  std::vector<GradeRequest> passed_on;
  for (size_t i = 0; i < requests.size(); ++i) {
    if (grades[i] && (grades[i]->content == 0 || grades[i]->content == 1)) continue;
    unsure.push_back(i);
    passed_on.push_back(requests[i]);
  }
  counts_.graded += requests.size();
  counts_.passed_on += unsure.size();
  if (unsure.empty()) return grades;
  auto second = second_->grade(passed_on);
  for (size_t k = 0; k < unsure.size(); ++k) {
    if (second[k]) second[k]->format.reset();  // by rule for all replies, as `first_` leaves it
    grades[unsure[k]] = std::move(second[k]);
  }
  return grades;
}

}  // namespace l2a
