// Grader `words`: the share of content words that the reply's question has in common with an open
// item or with what is already known. It shares no model with `match`: a second opinion.
#pragma once

#include "hindsight/question.h"
#include "reward/grader.h"
#include "reward/thresholds.h"

namespace l2a {

// Dice coefficient of the sets of content words: 2 |A and B| / (|A| + |B|), in [0, 1]; 0 when
// either is empty.
double word_overlap(std::string_view a, std::string_view b, const QuestionForms& forms);

// Not thread-safe. Never fails.
class WordsGrader : public Grader {
 public:
  // `forms` must outlive it.
  WordsGrader(const QuestionForms& forms, const GraderThresholds& thresholds);
  std::string name() const override;  // "words (same 0.6, near 0.4)"
  std::vector<Result<Grade>> grade(std::span<const GradeRequest> requests) override;

 private:
  const QuestionForms& forms_;
  SimilarityThresholds thresholds_;
};

}  // namespace l2a
