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
      is_llm_(options.grader == "llm"),
      is_in_process_(!inputs.llm.in_process.empty()),
      forms_(QuestionForms::load(data_path("prompts/questions"))),
      factory_(forms_, with_thresholds(std::move(inputs), options.thresholds)),
      grader_(factory_.make(options.grader)) {}

std::vector<ScoredReply> RewardSetup::score(std::span<const ScoreRequest> requests,
                                            uint64_t attempt) {
  const bool anew = is_llm_ && attempt > 0;
  const auto again = anew ? factory_.make_llm(factory_.llm_prompt(), attempt) : nullptr;
  return score_replies(requests, anew ? *again : *grader_, forms_, scoring_);
}

std::unique_ptr<Grader> RewardSetup::make_looker_on(const RewardOptions& options) {
  std::string name = options.looks_on;
  if (name == "none") return nullptr;
  const bool match_rewards =
      options.grader == "match" || (is_llm_ && factory_.llm_asks_match_first());
  if (name == "auto") name = match_rewards ? "words" : "match";
  if (name == options.grader || (name == "match" && match_rewards)) {
    fail_input("reward.looks_on: " + name + ": it is the one that rewards");
  }
  return factory_.make(name);
}

RewardFn RewardSetup::reward_fn() {
  return [this](std::span<const RewardRequest> requests) {
    std::vector<ScoreRequest> scoring;
    for (const auto& request : requests) {
      scoring.push_back({request.session, request.sample, request.reply});
    }
    std::vector<RewardResult> results;
    for (auto& scored : score(scoring)) {
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
