#include "cli/grader_factory.h"

#include "cli/command.h"
#include "cli/sentence_encoder.h"
#include "dialogue/session_file.h"
#include "reward/label_grader.h"
#include "reward/match_grader.h"
#include "reward/words_grader.h"

namespace l2a {

std::string GraderInputs::thresholds_file() const {
  return shipped_or_path("prompts/thresholds", thresholds);
}

GraderFactory::GraderFactory(const QuestionForms& forms, GraderInputs inputs)
    : forms_(forms), inputs_(std::move(inputs)) {}

GraderFactory::~GraderFactory() = default;

const std::string& GraderFactory::needed(const std::string& input, const char* flag,
                                         const char* grader) const {
  if (input.empty()) fail_input(std::string("grader ") + grader + ": needs " + flag);
  return input;
}

std::unique_ptr<Grader> GraderFactory::make_truth() {
  const std::string& sessions = needed(inputs_.sessions, "--sessions", "truth");
  const std::string& domain = needed(inputs_.domain, "--domain", "truth");
  if (!truth_) {
    domain_ = std::make_unique<Domain>(read_domain(domain));
    recogniser_ = std::make_unique<Recogniser>(*domain_, forms_);
    truth_ = std::make_unique<TruthIndex>(read_sessions(sessions));
  }
  return std::make_unique<TruthGrader>(*domain_, *recogniser_, *truth_);
}

std::unique_ptr<Grader> GraderFactory::make_match() {
  if (!encoder_) encoder_ = std::make_unique<SentenceEncoder>();
  return std::make_unique<MatchGrader>(*encoder_, forms_,
                                       load_thresholds(inputs_.thresholds_file()), MatchOptions{});
}

std::unique_ptr<Grader> GraderFactory::make_llm_alone(const std::string& prompt, uint64_t repeat) {
  const LlmGradingOptions& grading = inputs_.grading;
  const Prompt told = Prompt::load(prompt_path(prompt, "grading/question"), LlmGrader::places());
  if (!llm_) {
    llm_ = std::make_unique<LlmSetup>(inputs_.llm, grading.models,
                                      "the questions to grade with their conversations and answers",
                                      inputs_.ledger, inputs_.calls, inputs_.shared_ledger);
  }
  return std::make_unique<LlmGrader>(llm_->clients(), told, grading, repeat);
}

std::unique_ptr<Grader> GraderFactory::make_llm(const std::string& prompt, uint64_t repeat) {
  auto judges = make_llm_alone(prompt, repeat);
  if (!inputs_.grading.prefilter) return judges;
  return std::make_unique<PrefilterGrader>(make_match(), std::move(judges), prefiltered_);
}

std::string GraderFactory::prefiltered() const {
  if (prefiltered_.graded == 0) return {};
  return std::to_string(prefiltered_.passed_on) + " of " + std::to_string(prefiltered_.graded) +
         " questions were not clear to match";
}

std::string GraderFactory::costs() const {
  if (!llm_) return {};
  const std::string filtered = prefiltered();
  return "grader llm: " + llm_->totals() + (filtered.empty() ? "" : "; " + filtered);
}

std::unique_ptr<Grader> GraderFactory::make(const std::string& name) {
  if (name == "match") return make_match();
  if (name == "llm") return make_llm(inputs_.grading.prompt);
  if (name == "words") {
    return std::make_unique<WordsGrader>(forms_, load_thresholds(inputs_.thresholds_file()));
  }
  if (name == "labels") {
    const auto bank = read_sessions(needed(inputs_.bank, "--bank", "labels"));
    const auto graded = read_sessions(needed(inputs_.sessions, "--sessions", "labels"));
    return std::make_unique<LabelGrader>(bank, graded, forms_);
  }
  if (name == "truth") return make_truth();
  const std::string near = nearest_name(name, {"match", "words", "labels", "truth", "llm"});
  fail_input("grader '" + name + "': expected match, words, labels, truth or llm" +
             (near.empty() ? "" : ": did you mean '" + near + "'?"));
}

}  // namespace l2a
