#include "cli/grader_factory.h"

#include "base/file.h"
#include "base/utf8.h"
#include "cli/command.h"
#include "cli/sentence_encoder.h"
#include "dialogue/session_file.h"
#include "reward/label_grader.h"
#include "reward/match_grader.h"
#include "reward/words_grader.h"

namespace l2a {
namespace {

const std::string& needed(const std::string& input, const char* what, const char* grader) {
  if (input.empty()) fail_input(std::string("grader ") + grader + ": needs " + what);
  return input;
}

std::string domain_file(const std::string& domain) { return shipped_or_path("domains", domain); }

}  // namespace

std::string GraderInputs::thresholds_file() const {
  return shipped_or_path("prompts/thresholds", thresholds);
}

std::string GraderInputs::sha256() const {
  std::string hashes = sha256_file(thresholds_file());
  hashes += domain.empty() ? "-" : sha256_file(domain_file(domain));
  hashes += bank.empty() ? "-" : sha256_file(bank);
  for (const std::string& file : sessions) hashes += sha256_file(file);
  return sha256_hex(hashes);
}

Json grading_prompts(std::span<Grader* const> graders) {
  Json prompts = Json::object();
  for (const Grader* grader : graders) {
    if (const auto sha256 = grader->prompt_sha256()) prompts[grader->name()] = *sha256;
  }
  return prompts;
}

GraderFactory::GraderFactory(const QuestionForms& forms, GraderInputs inputs)
    : forms_(forms), inputs_(std::move(inputs)) {}

GraderFactory::~GraderFactory() = default;

std::vector<Session> GraderFactory::graded_sessions(const char* grader) {
  const auto& files = inputs_.sessions;
  needed(files.empty() ? "" : files.front(), "--sessions (reward.sessions)", grader);
  std::vector<Session> sessions;
  for (const std::string& file : files) {
    for (Session& session : read_sessions(file)) sessions.push_back(std::move(session));
  }
  known_.emplace();
  for (const Session& session : sessions) known_->insert(session.id);
  return sessions;
}

void GraderFactory::require_sessions_of(std::span<const LabelledSession> labelled) const {
  if (!known_) return;
  for (const LabelledSession& session : labelled) {
    if (known_->contains(session.id)) continue;
    fail_input(
        "--sessions (reward.sessions): session '" + shown(session.id) +
        "' is not in these files: name all that the labels were made from, [a.jsonl,b.jsonl]");
  }
}

std::unique_ptr<Grader> GraderFactory::make_truth() {
  if (!truth_) {
    truth_ = std::make_unique<TruthIndex>(graded_sessions("truth"));
    const auto& domain = needed(inputs_.domain, "--domain (reward.domain)", "truth");
    domain_ = std::make_unique<Domain>(read_domain(domain_file(domain)));
    recogniser_ = std::make_unique<Recogniser>(*domain_, forms_);
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
    const auto bank = read_sessions(needed(inputs_.bank, "--bank (reward.bank)", "labels"));
    return std::make_unique<LabelGrader>(bank, graded_sessions("labels"), forms_);
  }
  if (name == "truth") return make_truth();
  const std::string near = nearest_name(name, {"match", "words", "labels", "truth", "llm"});
  fail_input("grader '" + name + "': expected match, words, labels, truth or llm" +
             (near.empty() ? "" : ": did you mean '" + near + "'?"));
}

}  // namespace l2a
