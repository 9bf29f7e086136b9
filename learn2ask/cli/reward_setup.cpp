#include "cli/reward_setup.h"

#include "cli/command.h"

namespace l2a {
namespace {

GraderInputs inputs_of(const RewardSettings& settings, const std::filesystem::path& ledger,
                       Calls calls, std::shared_ptr<Ledger> shared) {
  GraderInputs inputs = settings.reward.grader_inputs();
  inputs.llm = settings.llm;
  inputs.grading = settings.grading;
  inputs.ledger = ledger;
  inputs.calls = calls;
  inputs.shared_ledger = std::move(shared);
  return inputs;
}

}  // namespace

RewardSetup::RewardSetup(const RewardSettings& settings, const std::filesystem::path& ledger,
                         ReplyFormat format, Calls calls, std::shared_ptr<Ledger> shared)
    : scoring_(checked({.format = format,
                        .fusion = settings.reward.fusion_kind(),
                        .compat = settings.reward.compat})),
      is_llm_(settings.reward.grader == "llm"),
      is_in_process_(!settings.llm.in_process.empty()),
      forms_(QuestionForms::load(data_path("prompts/questions"))),
      factory_(forms_, inputs_of(settings, ledger, calls, std::move(shared))),
      grader_(factory_.make(settings.reward.grader)) {}

Json RewardSetup::prompts() const {
  Grader* const grader = grader_.get();
  return grading_prompts({&grader, 1});
}

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
      result.stops = scored.action && scored.action->decision == Decision::kStop;
      result.by_rule = scored.by_rule;
      result.note = std::move(scored.reason);
      results.push_back(std::move(result));
    }
    return results;
  };
}

}  // namespace l2a
