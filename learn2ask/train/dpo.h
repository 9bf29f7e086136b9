// Preference training on logged sessions: at every expert turn a group of replies is sampled and
// graded; the policy learns to prefer the better to the worse (DPO, IPO), or is told which are good
// and which bad (KTO).
//
// Here: options and the loop. Which replies are compared is in preferences.h, the optimizer step in
// dpo_update.h, the objectives in preference_objectives.h. The policy that is being trained samples
// anew in each step, as in arXiv 2402.04792; the papers' own pairs are of a fixed one.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "base/config.h"
#include "hindsight/sample.h"
#include "train/expert_reply.h"
#include "train/reply_options.h"
#include "train/reward_fn.h"
#include "train/sample_weights.h"
#include "train/training_run.h"

namespace l2a {

struct DpoOptions {
  static constexpr const char* kSection = "dpo";  // of the configuration

  int64_t steps = 100;
  ReplyOptions replies = {};
  std::string objective = "dpo";
  double beta = 0.1;
  std::string pairs = "sampled";
  ExpertTurns turns = {};  // with pairs: expert
  // Of the mean negative log-likelihood of chosen replies' tokens, nats: keeps DPO from making
  // chosen replies rarer too (RPO, arXiv 2404.19733).
  double sft_weight = 0;
  double desirable_weight = 1, undesirable_weight = 1;  // with kto
  SampleWeights weights = {};
  OptimizerOptions optimizer = {.lr = 1e-4};
  LoopOptions loop = {};

  template <class Visitor>
  void visit(Visitor& v) {
    v("steps", steps, Range{1, 1e6}, "optimizer steps");
    replies.visit(v);
    v.choice("objective", objective, {"dpo", "ipo", "kto"},
             "dpo: sigmoid of the margin; ipo: a margin of 1 / (2 beta); kto: good and bad replies "
             "by themselves");
    v("beta", beta, Range{1e-4, 100}, "how dear it is to leave the start model");
    v.choice("pairs", pairs, {"sampled", "expert"},
             "chosen is the best of the replies, or the expert's own where that earns more; "
             "rejected the worst");
    turns.visit(v);
    v("sft_weight", sft_weight, Range{0, 100}, "of imitating the chosen replies; 0: none");
    v("desirable_weight", desirable_weight, Range{0, 100}, "of good replies, with kto");
    v("undesirable_weight", undesirable_weight, Range{0, 100}, "of bad replies, with kto");
    v.group("weights", weights);
    v.group("optimizer", optimizer);
    loop.visit(v);
  }
};

// Trains `trained` in place, from where it stands: that is also the reference. At the end it is
// that of the checkpoint with the highest mean reward of greedy replies on `held_out` (the last one
// if that is empty). Goes on where a killed run stood.
//
// Unlabelled samples and sessions without another one are passed over. Throws Failure: nothing
// to train on; kUnavailable when too many replies could not be graded; E1 cases of TrainingRun.
TrainResult train_dpo(const TrainerSetup& setup, std::span<const LabelledSession> sessions,
                      std::span<const LabelledSession> held_out, const RewardFn& reward,
                      const DpoOptions& options, TrainedWeights& trained);

}  // namespace l2a
