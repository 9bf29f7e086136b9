// Verdicts of several graders on the same questions, side by side.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/config.h"
#include "calibrate/people_agreement.h"
#include "cli/grader_factory.h"

namespace l2a {

// Who is asked.
struct GraderList {
  std::vector<std::string> names;    // for GraderFactory::make()
  std::vector<std::string> prompts;  // of further graders `llm`, one each
  int64_t repeats = 1;               // how often each grader `llm` is asked
  // Where `match` comes before `llm`, also `llm` by itself: what the filter costs and saves.
  bool also_without_prefilter = false;
};

// A progress line for each grader. Throws Failure: what the factory throws; a name that stands
// twice.
VerdictsByGrader ask_graders(GraderFactory& factory, const GraderList& list,
                             std::span<const GradeRequest> requests);

}  // namespace l2a
