// Grader `match`: sentence vectors compare the reply's question with the open items and with what
// is already known. verdict.h has the rule.
#pragma once

#include "hindsight/question.h"
#include "reward/cached_encoder.h"
#include "reward/grader.h"
#include "reward/thresholds.h"

namespace l2a {

struct MatchOptions {
  // Also grades text that is mostly in other scripts than the Latin one. Off: such a request is
  // refused (kUnsupported), because nobody knows what the thresholds mean there.
  bool any_script = false;
  size_t cached_texts = 50'000;
};

// Not thread-safe. Grades are the same in whatever batches requests come, up to rounding of the
// encoder's float32 sums.
class MatchGrader : public Grader {
 public:
  // `encoder` and `forms` must outlive it.
  MatchGrader(TextEncoder& encoder, const QuestionForms& forms, GraderThresholds thresholds,
              MatchOptions options);
  // "match (same 0.725, near 0.64, fitted on English)"
  std::string name() const override;
  std::vector<Result<Grade>> grade(std::span<const GradeRequest> requests) override;

 private:
  void grade_some(std::span<const GradeRequest> requests, std::vector<Result<Grade>>& grades);
  CachedEncoder encoder_;
  const QuestionForms& forms_;
  GraderThresholds thresholds_;
  MatchOptions options_;
};

}  // namespace l2a
