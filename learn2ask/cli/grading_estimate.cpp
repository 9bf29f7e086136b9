#include "cli/grading_estimate.h"

#include <cmath>
#include <cstdio>
#include <vector>

#include "cli/llm_setup.h"

namespace l2a {
namespace {

int64_t scaled(int64_t count, double factor) {
  return static_cast<int64_t>(std::ceil(static_cast<double>(count) * factor));
}

}  // namespace

CallEstimate estimate_grading(std::span<const LabelledSession> sessions, const LlmOptions& llm,
                              const LlmGradingOptions& grading) {
  if (!llm.in_process.empty()) return {};
  LlmOptions not_cached = llm;  // the expert's questions may be, from an evaluation
  not_cached.cache.clear();
  LlmSetup judges(not_cached, grading.models, "", "", Calls::kCount);
  LlmGrader grader(
      judges.clients(),
      Prompt::load(prompt_path(grading.prompt, "grading/question"), LlmGrader::places()), grading);
  std::vector<GradeRequest> requests;
  for (const LabelledSession& session : sessions) {
    for (const Sample& sample : session.samples) {
      if (!is_labelled(sample) || !sample.wanted || sample.wanted->empty()) continue;
      requests.push_back({.context_id = sample_id(session, sample),
                          .context = std::span(session.turns).first(sample.turn),
                          .wanted = *sample.wanted,
                          .question = session.turns[sample.turn].text});
    }
  }
  grader.grade(requests);
  return judges.estimate();
}

CallEstimate times(CallEstimate estimate, double factor) {
  estimate.calls = scaled(estimate.calls, factor);
  estimate.cached = scaled(estimate.cached, factor);
  estimate.prompt_tokens = scaled(estimate.prompt_tokens, factor);
  estimate.most_completion_tokens = scaled(estimate.most_completion_tokens, factor);
  estimate.most_cost *= factor;
  return estimate;
}

void print_estimate(const CallEstimate& estimate) {
  const bool none = estimate.calls == 0 && estimate.cached == 0;
  std::printf("%s\n", none ? kNoCalls : ("grader llm, estimated: " + to_text(estimate)).c_str());
}

}  // namespace l2a
