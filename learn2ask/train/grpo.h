// GRPO on logged sessions: at every expert turn a group of replies is sampled, each is graded
// against what the expert went on to learn, and the policy moves towards those that beat their
// group.
//
// Here: options and the loop. Groups (sampling, grading, advantages) are in reply_group.h, the
// optimizer steps in grpo_update.h, the loss in policy_loss.h. Source: arXiv 2402.03300; what makes
// its relatives (RLOO, Dr. GRPO, DAPO, GSPO, CISPO, GDPO) of it stands in docs/algorithms.md.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "base/config.h"
#include "hindsight/sample.h"
#include "train/expert_reply.h"
#include "train/policy_loss.h"
#include "train/reply_options.h"
#include "train/reward_fn.h"
#include "train/sample_weights.h"
#include "train/training_run.h"

namespace l2a {

// Of the parts of a reward that are compared by themselves; 1, 2, 1: as the product fusion has
// them.
struct RewardPartWeights {
  double macro = 1, micro = 2, format = 1;

  template <class Visitor>
  void visit(Visitor& v) {
    v("macro", macro, Range{0, 100}, "of the stop decision");
    v("micro", micro, Range{0, 100}, "of the question's utility");
    v("format", format, Range{0, 100}, "of the format");
  }
};

struct GrpoOptions {
  static constexpr const char* kSection = "grpo";  // of the configuration

  int64_t steps = 100;
  ReplyOptions replies = {};
  std::string advantage = "std";  // how a group's rewards become advantages: advantages.h
  // parts: the first token is credited with the stop decision, which it makes in plain format, the
  // others with the question's utility and format; ours.
  std::string credit = "reply";
  RewardPartWeights parts = {};  // with advantage or credit: parts
  int64_t overlong_buffer = 0;   // tokens: reward_shaping.h; 0: no penalty
  // Several optimizer steps on one step's replies, with clipping against the policy that
  // sampled them. 1 and 1: the ratio is exactly 1.
  int64_t inner_epochs = 1, minibatches = 1;
  // Of the policy that sampled, where there are several: computed again by the trainer, so that the
  // first ratio is exactly 1; or as they were sampled, which spares a forward pass. The two differ
  // by rounding (metrics: sampler_gap), in bfloat16 by more than GSPO's clip range.
  std::string old_log_probs = "trainer";
  // Of the mean negative log-likelihood of the expert's replies at the step's turns, nats, at the
  // temperature of sampling, beside the policy's loss: in plain format they stand in the trunk,
  // which is computed anyway.
  double sft_weight = 0;
  ExpertTurns turns = {};  // with sft_weight
  SampleWeights weights = {};
  PolicyLossOptions loss = {};
  OptimizerOptions optimizer = {.lr = 1e-4};
  LoopOptions loop = {};

  template <class Visitor>
  void visit(Visitor& v) {
    v("steps", steps, Range{1, 1e6}, "optimizer steps (times inner_epochs x minibatches)");
    replies.visit(v);
    v.choice(
        "advantage", advantage, {"std", "mean", "leave_one_out", "batch", "best", "parts"},
        "rewards minus the group's mean, divided by its deviation (std), by nothing, or by the "
        "step's (batch); minus the others' mean; the best alone; each part of the reward by "
        "itself");
    v.choice("credit", credit, {"reply", "parts"},
             "advantages go to all tokens; parts: the stop decision's to the first only");
    v.group("parts", parts);
    v("overlong_buffer", overlong_buffer, Range{0, 4096},
      "replies that leave fewer tokens free lose up to 1; 0: none do");
    v("inner_epochs", inner_epochs, Range{1, 64}, "passes over a step's replies");
    v("minibatches", minibatches, Range{1, 64}, "optimizer steps in a pass");
    v.choice("old_log_probs", old_log_probs, {"trainer", "sampler"},
             "of several updates' first policy: computed again, or those of sampling: faster");
    v("sft_weight", sft_weight, Range{0, 100}, "of imitating the expert as well; 0: none");
    turns.visit(v);
    v.group("weights", weights);
    v.group("loss", loss);
    v.group("optimizer", optimizer);
    loop.visit(v);
  }
};

// Trains `trained` in place, from where it stands: that is also the reference of the KL penalty.
// At the end it is that of the checkpoint with the highest mean reward of greedy replies on
// `held_out` (the last one if that is empty). Goes on where a killed run stood.
//
// Unlabelled samples and sessions without another one are passed over. Throws Failure: nothing
// to train on; kUnavailable when too many replies could not be graded; E1 cases of TrainingRun.
TrainResult train_grpo(const TrainerSetup& setup, std::span<const LabelledSession> sessions,
                       std::span<const LabelledSession> held_out, const RewardFn& reward,
                       const GrpoOptions& options, TrainedWeights& trained);

}  // namespace l2a
