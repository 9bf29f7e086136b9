#include "cli/reward_setup.h"

#include "cli/command.h"

namespace l2a {

namespace {

GraderInputs with_thresholds(GraderInputs inputs, const std::string& thresholds) {
  inputs.thresholds = thresholds;
  return inputs;
}

}  // namespace

RewardSetup::RewardSetup(const RewardOptions& options, GraderInputs inputs, ReplyFormat format)
    : scoring_{.format = format, .fusion = options.fusion_kind(), .compat = options.compat},
      forms_(QuestionForms::load(data_path("prompts/questions"))),
      factory_(forms_, with_thresholds(std::move(inputs), options.thresholds)),
      grader_(factory_.make(options.grader)) {}

RewardFn RewardSetup::reward_fn() {
  return [this](std::span<const RewardRequest> requests) {
    std::vector<ScoreRequest> scoring;
    for (const auto& request : requests) {
      scoring.push_back({request.session, request.sample, request.reply});
    }
    std::vector<RewardResult> results;
    for (auto& scored : score_replies(scoring, *grader_, forms_, scoring_)) {
      RewardResult result;
      result.reward = scored.reward;
      if (scored.parts) {
        result.macro = scored.parts->macro;
        result.micro = scored.parts->micro;
        result.format = scored.parts->format;
      }
      result.malformed = !scored.action.has_value();
      result.note = std::move(scored.reason);
      results.push_back(std::move(result));
    }
    return results;
  };
}

}  // namespace l2a
