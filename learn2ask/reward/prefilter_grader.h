// Two graders, one after the other: a cheap one for what it is sure of, another one for the rest.
#pragma once

#include <cstddef>
#include <string>

#include "reward/grader.h"

namespace l2a {

// Keeps the first grader's 0 and 1; asks the second one where the first gives anything between or
// fails. Not thread-safe.
class PrefilterGrader final : public Grader {
 public:
  // Both must outlive it.
  PrefilterGrader(Grader& first, Grader& second) : first_(first), second_(second) {}
  std::string name() const override { return second_.name() + " where not sure: " + first_.name(); }
  std::vector<Result<Grade>> grade(std::span<const GradeRequest> requests) override;

  size_t graded() const { return graded_; }     // so far
  size_t passed_on() const { return passed_; }  // of these, to the second

 private:
  Grader& first_;
  Grader& second_;
  size_t graded_ = 0, passed_ = 0;
};

}  // namespace l2a
