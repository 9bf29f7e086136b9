#include "cli/grader_factory.h"

#include <optional>

#include "cli/command.h"
#include "cli/model_files.h"
#include "embed/minilm.h"
#include "reward/label_grader.h"
#include "reward/match_grader.h"
#include "reward/words_grader.h"
#include "synth/truth_grader.h"

namespace l2a {
namespace {

// embed/ knows nothing of reward/: this is the plug.
class EmbeddedEncoder : public TextEncoder {
 public:
  EmbeddedEncoder() : model_(embedded_sentence_encoder()) {}
  size_t width() const override { return model_.width(); }
  std::vector<float> encode(std::span<const std::string> texts) override {
    return model_.encode(texts);
  }

 private:
  MiniLmEncoder model_;
};

GraderThresholds thresholds() { return load_thresholds(data_path("prompts/grader_thresholds.yaml")); }

const std::string& require(const std::string& input, const std::string& grader,
                           const std::string& what) {
  if (input.empty()) fail_input("grader " + grader + ": needs " + what);
  return input;
}

// What the truth grader reads.
struct Truth {
  Truth(const GraderInputs& inputs, const QuestionForms& forms)
      : domain(read_domain(inputs.domain)),
        recogniser(domain, forms),
        index(TruthIndex::read(inputs.truth)) {}
  Domain domain;
  Recogniser recogniser;
  TruthIndex index;
};

}  // namespace

struct GraderFactory::Shared {
  std::optional<EmbeddedEncoder> encoder;
  std::unique_ptr<Truth> truth;
};

GraderFactory::GraderFactory(const QuestionForms& forms, GraderInputs inputs)
    : forms_(forms), inputs_(std::move(inputs)), shared_(std::make_unique<Shared>()) {}

GraderFactory::~GraderFactory() = default;

std::unique_ptr<Grader> GraderFactory::make(const std::string& name) {
  if (name == "match") {
    if (!shared_->encoder) shared_->encoder.emplace();
    return std::make_unique<MatchGrader>(*shared_->encoder, forms_, thresholds(), MatchOptions{});
  }
  if (name == "words") return std::make_unique<WordsGrader>(forms_, thresholds());
  if (name == "labels") {
    const auto bank = read_labelled_sessions(
        require(inputs_.bank, name, "--bank, sessions whose questions people labelled"));
    const auto graded = read_labelled_sessions(
        require(inputs_.truth, name, "--truth, the graded sessions with people's labels"));
    return std::make_unique<LabelGrader>(bank, graded, forms_);
  }
  if (name == "truth") {
    require(inputs_.truth, name, "--truth, the generated sessions");
    require(inputs_.domain, name, "--domain, which they were generated from");
    if (!shared_->truth) shared_->truth = std::make_unique<Truth>(inputs_, forms_);
    const Truth& truth = *shared_->truth;
    return std::make_unique<TruthGrader>(truth.domain, truth.recogniser, truth.index);
  }
  const std::string near = nearest_name(name, {"match", "words", "labels", "truth"});
  fail_input("grader '" + name + "': expected match, words, labels or truth" +
             (near.empty() ? "" : ": did you mean '" + near + "'?"));
}

}  // namespace l2a
