#include "cli/grader_factory.h"

#include "base/error.h"
#include "base/jsonl.h"
#include "cli/command.h"
#include "cli/model_files.h"
#include "reward/label_grader.h"
#include "reward/match_grader.h"
#include "reward/thresholds.h"
#include "reward/words_grader.h"

namespace l2a {
namespace {

constexpr const char* kNames = "match, words, truth, labels";

GraderThresholds thresholds() {
  return load_thresholds(data_path("prompts/grader_thresholds.yaml"));
}

std::vector<Session> read_sessions(const std::string& path) {
  std::vector<Session> sessions;
  for_each_row(path, "sessions", [&](JsonLine&& line) {
    auto session = session_from_json(line.value);
    if (!session) fail_input(path + ":" + std::to_string(line.number) + ": " + session.error().message);
    sessions.push_back(std::move(*session));
  });
  return sessions;
}

}  // namespace

// The sentence encoder under reward/'s interface: embed/ knows nothing of graders.
class GraderFactory::Encoder : public TextEncoder {
 public:
  explicit Encoder(const std::string& folder) : model_(folder) {}
  size_t width() const override { return model_.width(); }
  std::vector<float> encode(std::span<const std::string> texts) override {
    return model_.encode(texts);
  }

 private:
  MiniLmEncoder model_;
};

GraderFactory::GraderFactory(const QuestionForms& forms, GraderInputs inputs)
    : forms_(forms), inputs_(std::move(inputs)) {}
GraderFactory::~GraderFactory() = default;

std::unique_ptr<Grader> GraderFactory::make(const std::string& name) {
  if (name == "match") {
    if (!encoder_) encoder_ = std::make_unique<Encoder>(embedded_sentence_encoder());
    return std::make_unique<MatchGrader>(*encoder_, forms_, thresholds(), MatchOptions{});
  }
  if (name == "words") return std::make_unique<WordsGrader>(forms_, thresholds());
  if (name == "truth") return make_truth();
  if (name == "labels") {
    return std::make_unique<LabelGrader>(
        read_sessions(needed(inputs_.bank, "--bank", "labels")),
        read_sessions(needed(inputs_.sessions, "--sessions", "labels")), forms_);
  }
  fail_input("grader: '" + name + "': unknown (known: " + kNames + ")");
}

const std::string& GraderFactory::needed(const std::string& input, const char* flag,
                                         const char* grader) const {
  if (input.empty()) fail_input(std::string("grader: ") + grader + ": needs " + flag);
  return input;
}

std::unique_ptr<Grader> GraderFactory::make_truth() {
  if (!truth_) {
    const std::string& domain = needed(inputs_.domain, "--domain", "truth");
    domain_ = std::make_unique<Domain>(read_domain(domain_path(domain)));
    recogniser_ = std::make_unique<Recogniser>(*domain_, forms_);
    truth_ = std::make_unique<TruthIndex>(
        TruthIndex::read(needed(inputs_.sessions, "--sessions", "truth")));
  }
  return std::make_unique<TruthGrader>(*domain_, *recogniser_, *truth_);
}

}  // namespace l2a
