#include "cli/ask_graders.h"

#include <algorithm>
#include <memory>

#include "base/interrupt.h"
#include "base/progress.h"

namespace l2a {
namespace {

constexpr size_t kTogether = 512;  // questions graded at once

void ask(Grader& grader, std::span<const GradeRequest> requests,
         std::vector<std::vector<Verdict>>& verdicts) {
  Progress progress("grade by " + grader.name(), requests.size(), "questions");
  for (size_t at = 0; at < requests.size(); at += kTogether) {
    throw_if_interrupted();
    const auto some = requests.subspan(at, std::min(kTogether, requests.size() - at));
    const auto grades = grader.grade(some);
    for (size_t i = 0; i < some.size(); ++i) {
      verdicts[at + i].push_back(grades[i] ? Verdict(grades[i]->content) : std::nullopt);
    }
    progress.advance(some.size());
  }
  progress.finish();
}

}  // namespace

VerdictsByGrader ask_graders(GraderFactory& factory, const GraderList& list,
                             std::span<const GradeRequest> requests) {
  VerdictsByGrader verdicts;
  const auto ask_one = [&](const std::unique_ptr<Grader>& grader, bool again) {
    const auto [column, added] = verdicts.try_emplace(grader->name(), requests.size());
    if (!added && !again) fail_input("--grader: '" + grader->name() + "' stands twice");
    ask(*grader, requests, column->second);
  };
  const auto ask_more = [&](const std::string& prompt) {
    if (list.also_without_prefilter && factory.llm_asks_match_first()) {
      ask_one(factory.make_llm_alone(prompt), false);
    }
    for (int64_t repeat = 1; repeat < list.repeats; ++repeat) {
      ask_one(factory.make_llm(prompt, static_cast<uint64_t>(repeat)), true);
    }
  };
  for (const std::string& name : list.names) {
    ask_one(factory.make(name), false);
    if (name == "llm") ask_more(factory.llm_prompt());
  }
  for (const std::string& prompt : list.prompts) {
    ask_one(factory.make_llm(prompt), false);
    ask_more(prompt);
  }
  return verdicts;
}

}  // namespace l2a
