// From reward options to the function that a trainer calls.
#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "base/config.h"
#include "cli/grader_factory.h"
#include "dialogue/action.h"
#include "reward/score.h"
#include "train/reward_fn.h"

namespace l2a {

struct RewardOptions {
  std::string grader = "match";
  std::string thresholds = "flodial";
  std::vector<std::string> sessions;
  std::string domain, bank;
  std::string fusion = "product";
  bool compat = false;
  std::string agreement;
  double min_agreement = 0.4;
  std::string looks_on = "auto";
  int64_t look_every = 10;

  Fusion fusion_kind() const { return fusion_from_name(fusion).value_or_throw(); }
  GraderInputs grader_inputs() const {
    return {.sessions = sessions, .domain = domain, .bank = bank, .thresholds = thresholds};
  }

  template <class Visitor>
  void visit(Visitor& v) {
    v.choice("grader", grader, {"match", "words", "llm", "labels", "truth"},
             "who grades questions; llm: the model of `llm`; labels: what people labelled; truth: "
             "what the generator knows");
    v("thresholds", thresholds,
      "the grader's thresholds: flodial (English trouble-shooting), pharmacy, or a file fitted on "
      "your own labels");
    v("sessions", sessions,
      "for labels and truth: files of the sessions that were labelled, --dev's too");
    v("domain", domain, "for truth: the domain that they were generated from");
    v("bank", bank, "for labels: training sessions whose questions people labelled");
    v.choice("fusion", fusion, {"product", "sum", "macro-only", "micro-only"},
             "how decision, question and format become one number");
    v("compat", compat, "score as the published code does: any <stop /> in a reply is a stop");
    v("agreement", agreement,
      "agreement.json of `calibrate report`: how far the grader agrees with people; empty, for "
      "match and words: what their thresholds say");
    v("min_agreement", min_agreement, Range{-1, 1},
      "no grader rewards training whose kappa with people (lower end, linear weights) is below; "
      "-1: any may");
    v.choice("looks_on", looks_on, {"auto", "match", "words", "none"},
             "a grader that does not reward and is asked all the same, so that drift.jsonl shows "
             "whether the two go on agreeing; auto: words where match rewards, else match");
    v("look_every", look_every, Range{1, 1e6}, "steps of training between two of its looks");
  }
};

// The settings of every command that rewards replies.
struct RewardSettings {
  RewardOptions reward;
  LlmGradingOptions grading;
  LlmOptions llm;

  template <class Visitor>
  void visit(Visitor& v) {
    v.group("reward", reward);
    v.group("grading", grading);
    v.group("llm", llm);
  }
};

// Owns what grading needs. Must outlive the function that it gives.
class RewardSetup {
 public:
  // `ledger`: the journal of the calls of the grader llm; `shared`: another's, in its place. Throws
  // Failure: what GraderFactory throws.
  RewardSetup(const RewardSettings& settings, const std::filesystem::path& ledger,
              ReplyFormat format, Calls calls = Calls::kMake,
              std::shared_ptr<Ledger> shared = nullptr);
  RewardSetup(const RewardSetup&) = delete;
  RewardSetup& operator=(const RewardSetup&) = delete;

  RewardFn reward_fn();
  // `attempt`: counts from 0; the grader llm asks its judges anew each time.
  std::vector<ScoredReply> score(std::span<const ScoreRequest> requests, uint64_t attempt = 0);
  const QuestionForms& forms() const { return forms_; }
  std::string grader_name() const { return grader_->name(); }
  Json prompts() const;  // grading_prompts() of the grader
  // Throws Failure where the grader cannot know of one of them.
  void require_sessions_of(std::span<const LabelledSession> labelled) const {
    factory_.require_sessions_of(labelled);
  }
  std::string costs() const { return factory_.costs(); }  // of a grader that has any
  std::string prefiltered() const { return factory_.prefiltered(); }
  // Whether grading is mostly waiting for an endpoint.
  bool waits_for_endpoint() const { return is_llm_ && !is_in_process_; }
  // The one that looks on while the other rewards; null where none is to.
  std::unique_ptr<Grader> make_looker_on(const RewardOptions& options);

 private:
  ScoringOptions scoring_;
  const bool is_llm_, is_in_process_;
  QuestionForms forms_;
  GraderFactory factory_;
  std::unique_ptr<Grader> grader_;
};

}  // namespace l2a
