// Two graders, one after the other: a cheap one for what it is sure of, another one for the rest.
#pragma once

#include <cstddef>
#include <memory>
#include <string>

#include "reward/grader.h"

namespace l2a {

struct PrefilterCounts {
  size_t graded = 0;
  size_t passed_on = 0;  // of these, to the second
};

// Keeps the first grader's 0 and 1; asks the second one where the first gives anything between or
// fails. Format is left to the rule for all, as the first grader leaves it: replies of a group are
// compared with each other. Not thread-safe.
class PrefilterGrader final : public Grader {
 public:
  // Adds to `counts`, which must outlive it.
  PrefilterGrader(std::unique_ptr<Grader> first, std::unique_ptr<Grader> second,
                  PrefilterCounts& counts)
      : first_(std::move(first)), second_(std::move(second)), counts_(counts) {}
  std::string name() const override {
    return second_->name() + " where not sure: " + first_->name();
  }
  std::optional<std::string> prompt_sha256() const override { return second_->prompt_sha256(); }
  std::vector<Result<Grade>> grade(std::span<const GradeRequest> requests) override;

 private:
  std::unique_ptr<Grader> first_, second_;
  PrefilterCounts& counts_;
};

}  // namespace l2a
