// Grader `llm`: language models judge how well a question reaches what is still open, on the scale
// 1, 0.5, 0, with a reason.
//
// A judge answers k times and its verdict is the median; with several judges, the verdict is the
// median of theirs. Of an even number of answers the lower one of the middle counts. A judge that
// failed more than half of its answers has none, and a question with fewer verdicts than the quorum
// is unscored: no failure becomes a grade.
//
// Source: arXiv 2510.25441, section 3.2 (scale, question quality and format in one answer).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/config.h"
#include "llm/chat.h"
#include "llm/prompt.h"
#include "reward/grader.h"

namespace l2a {

struct LlmGradingOptions {
  std::string prompt = "en";
  std::vector<std::string> models;
  int64_t quorum = 1;
  int64_t samples = 1;
  int64_t max_answer_tokens = 512;
  bool prefilter = false;

  template <class Visitor>
  void visit(Visitor& v) {
    v("prompt", prompt, "en, zh, or a file of your own (form: docs/formats/prompts.md)");
    v("models", models, "judges at llm.url; none: llm.model alone");
    v("quorum", quorum, Range{1, 99}, "judges that must have given a verdict");
    v("samples", samples, Range{1, 99},
      "answers of each judge, an odd number; one is asked for at temperature 0, more (and those "
      "of repeats) at 0.7");
    v("max_answer_tokens", max_answer_tokens, Range{16, 1 << 20}, "an answer's length");
    v("prefilter", prefilter,
      "ask the judges only where the grader match is not sure (a 0.5, or none at all)");
  }
};

// What one answer says.
struct JudgeAnswer {
  double content = 0, format = 0;  // 0, 0.5 or 1
  std::string reason;
};

// The value in the middle of `values`, the lower one of two; nullopt where there is none.
std::optional<double> lower_median(std::vector<double> values);

// Not thread-safe.
class LlmGrader final : public Grader {
 public:
  // The names of the prompt's places, for Prompt::load().
  static std::vector<std::string> places() { return {"context", "open", "question"}; }

  // `judges` must outlive it. `repeat`: another one gives other answers where judges are not
  // certain. Throws Failure for an even number of samples, and for a quorum that so many judges
  // cannot reach.
  LlmGrader(std::vector<ChatClient*> judges, Prompt prompt, LlmGradingOptions options,
            uint64_t repeat = 0);
  std::string name() const override;
  std::optional<std::string> prompt_sha256() const override { return prompt_.sha256(); }
  // A question where nothing is open reaches nothing: 0, and no call. An unscored one has the
  // error kInvalidInput where judges answered otherwise than asked, and another code where one of
  // them gave no answer at all.
  std::vector<Result<Grade>> grade(std::span<const GradeRequest> requests) override;

 private:
  std::vector<ChatClient*> judges_;
  Prompt prompt_;
  LlmGradingOptions options_;
  uint64_t first_sample_;
};

}  // namespace l2a
