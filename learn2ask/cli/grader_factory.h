// Graders by name, with what each of them needs.
#pragma once

#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "base/json.h"
#include "cli/llm_setup.h"
#include "hindsight/question.h"
#include "reward/grader.h"
#include "reward/llm_grader.h"
#include "reward/prefilter_grader.h"
#include "synth/truth_grader.h"

namespace l2a {

// What some graders need besides the labels; empty where it is not given.
struct GraderInputs {
  // truth, labels: the sessions that the labels were made from.
  std::vector<std::string> sessions{};
  std::string domain{};                // truth: that they were generated from, shipped or a file
  std::string bank{};                  // labels: training sessions whose questions people labelled
  std::string thresholds = "flodial";  // match, words: a shipped set, or a file of one's own

  LlmOptions llm{};  // llm: the endpoint
  LlmGradingOptions grading{};
  std::string ledger{};  // llm: the journal of its calls
  Calls calls = Calls::kMake;
  std::shared_ptr<Ledger> shared_ledger{};  // of others who ask too, in place of `ledger`

  std::string thresholds_file() const;
  std::string sha256() const;  // of the files that decide verdicts
};

// By grader's name the SHA-256 of its prompt, of those that have one.
Json grading_prompts(std::span<Grader* const> graders);

// Graders refer to the factory: it must outlive them. Not thread-safe.
class GraderFactory {
 public:
  // `forms` must outlive the factory.
  GraderFactory(const QuestionForms& forms, GraderInputs inputs);
  ~GraderFactory();

  // "match", "words", "truth", "labels", "llm". Throws Failure: an unknown name, an input that this
  // grader needs and that was not given, an endpoint that may not be asked.
  std::unique_ptr<Grader> make(const std::string& name);

  // The grader `llm` told by another prompt (en, zh or a file), or asked anew: each `repeat` gives
  // other answers. Throws Failure as make() does.
  std::unique_ptr<Grader> make_llm(const std::string& prompt, uint64_t repeat = 0);
  // The same, asked about every question whatever `grading.prefilter` is.
  std::unique_ptr<Grader> make_llm_alone(const std::string& prompt, uint64_t repeat = 0);
  const std::string& llm_prompt() const { return inputs_.grading.prompt; }  // of make("llm")
  bool llm_asks_match_first() const { return inputs_.grading.prefilter; }
  bool only_counts() const { return inputs_.calls == Calls::kCount; }

  // Throws Failure naming the first of `labelled` that truth or labels know nothing of: what they
  // cannot grade would be left out, unseen. Of other graders nothing is asked.
  void require_sessions_of(std::span<const LabelledSession> labelled) const;

  // How much of what it graded `llm` was asked about, where `match` came first; else empty.
  std::string prefiltered() const;
  // That, and what the calls of `llm` came to, for people; empty where it was not made.
  std::string costs() const;
  // The same where calls are only counted: kNoCalls where it was not made.
  std::string counted() const { return llm_ ? costs() : kNoCalls; }

 private:
  std::vector<Session> graded_sessions(const char* grader);
  std::unique_ptr<Grader> make_match();
  std::unique_ptr<Grader> make_truth();

  const QuestionForms& forms_;
  GraderInputs inputs_;
  std::unique_ptr<TextEncoder> encoder_;
  std::unique_ptr<Domain> domain_;
  std::unique_ptr<Recogniser> recogniser_;
  std::unique_ptr<TruthIndex> truth_;
  std::unique_ptr<LlmSetup> llm_;
  PrefilterCounts prefiltered_;
  std::optional<std::set<std::string>> known_;  // sessions of truth or labels
};

}  // namespace l2a
