// What a language model that grades would be asked, before there is any reply to grade.
#pragma once

#include <span>

#include "hindsight/sample.h"
#include "llm/counting_client.h"
#include "llm/options.h"
#include "reward/llm_grader.h"

namespace l2a {

// Judging one reply to each context of `sessions`, about. The expert's turns stand in for replies
// that nobody has sampled yet: a policy that stops too early, or replies in a form that cannot be
// read, is graded less often, and so is what the prefilter keeps; longer questions cost more. No
// answer is taken from the cache. Nothing where the judge is in process.
// Throws Failure: a prompt or settings that would be refused.
CallEstimate estimate_grading(std::span<const LabelledSession> sessions, const LlmOptions& llm,
                              const LlmGradingOptions& grading);

// So many times as much.
CallEstimate times(CallEstimate estimate, double factor);

void print_estimate(const CallEstimate& estimate);

}  // namespace l2a
