#include "cli/ask_graders.h"

#include <algorithm>
#include <memory>

#include <fmt/format.h>

#include "base/interrupt.h"
#include "base/progress.h"
#include "base/utf8.h"

namespace l2a {
namespace {

constexpr size_t kTogether = 512;  // questions graded at once

void ask(Grader& grader, std::span<const GradeRequest> requests, AskedGraders& asked) {
  auto& verdicts = asked.verdicts[grader.name()];
  auto& failures = asked.failures[grader.name()];
  verdicts.resize(requests.size());
  failures.asked += requests.size();
  Progress progress("grade by " + grader.name(), requests.size(), "questions");
  for (size_t at = 0; at < requests.size(); at += kTogether) {
    throw_if_interrupted();
    const auto some = requests.subspan(at, std::min(kTogether, requests.size() - at));
    const auto grades = grader.grade(some);
    for (size_t i = 0; i < some.size(); ++i) {
      verdicts[at + i].push_back(grades[i] ? Verdict(grades[i]->content) : std::nullopt);
      if (grades[i] || failures.failed++ > 0) continue;
      failures.first = some[i].context_id + ": " + grades[i].error().message;
    }
    progress.advance(some.size());
  }
  progress.finish();
}

}  // namespace

bool GraderList::asks_llm() const {
  return !prompts.empty() || std::find(names.begin(), names.end(), "llm") != names.end();
}

std::string AskedGraders::Failures::text() const {
  return fmt::format("no verdict on {} of {} questions, the first: {}", failed, asked,
                     shown(first, 300));
}

std::string AskedGraders::failures_text() const {
  std::string text;
  for (const auto& [grader, of_grader] : failures) {
    if (of_grader.failed > 0) text += grader + ": " + of_grader.text() + "\n";
  }
  return text;
}

AskedGraders ask_graders(GraderFactory& factory, const GraderList& list,
                         std::span<const GradeRequest> requests) {
  AskedGraders asked;
  const auto ask_one = [&](const std::unique_ptr<Grader>& grader, bool again) {
    if (!again && asked.verdicts.contains(grader->name())) {
      fail_input("--grader: '" + grader->name() + "' stands twice");
    }
    Grader* const one = grader.get();
    asked.prompts.update(grading_prompts({&one, 1}));
    ask(*grader, requests, asked);
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
    if (factory.only_counts() && (name == "match" || name == "words")) continue;
    ask_one(factory.make(name), false);
    if (name == "llm") ask_more(factory.llm_prompt());
  }
  for (const std::string& prompt : list.prompts) {
    ask_one(factory.make_llm(prompt), false);
    ask_more(prompt);
  }
  return asked;
}

}  // namespace l2a
