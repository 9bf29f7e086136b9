// Verdicts of several graders on the same questions, side by side.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "base/config.h"
#include "calibrate/people_agreement.h"
#include "cli/grader_factory.h"

namespace l2a {

// Graders that need no more than a question with its context: neither sessions nor a domain.
inline const std::vector<std::string> kGradersOfQuestions = {"match", "words", "llm"};

// Who is asked.
struct GraderList {
  std::vector<std::string> names;    // of kGradersOfQuestions
  std::vector<std::string> prompts;  // of further graders `llm`, one each
  int64_t repeats = 1;               // how often each grader `llm` is asked
  // Where `match` comes before `llm`, also `llm` by itself: what the filter costs and saves.
  bool also_without_prefilter = false;

  bool asks_llm() const;
};
// Why --repeats is refused without.
inline constexpr const char* kRepeatsAreOfLlm = "is how often llm is asked, and no --grader is llm";

struct AskedGraders {
  VerdictsByGrader verdicts;
  // By grader: how many questions it was asked, repeats counted each, how often it failed, and why
  // the first time.
  struct Failures {
    size_t asked = 0, failed = 0;
    std::string first = {};
    std::string text() const;  // "no verdict on 3 of 60 questions, the first: ..."
  };
  std::map<std::string, Failures> failures;
  Json prompts = Json::object();  // grading_prompts() of all

  // For people, a line for each grader that failed; empty where none did.
  std::string failures_text() const;
};

// A progress line for each grader. Where the factory only counts calls, those that make none are
// left out. Throws Failure: what the factory throws; a name that stands
// twice.
AskedGraders ask_graders(GraderFactory& factory, const GraderList& list,
                         std::span<const GradeRequest> requests);

}  // namespace l2a
