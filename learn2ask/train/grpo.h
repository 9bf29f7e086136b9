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
#include "train/policy_loss.h"
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
  int64_t steps = 100;
  int64_t sessions_per_step = 4;  // all expert turns of each
  int64_t group_size = 8;         // 70% of groups of 2 are homogeneous, 20% of groups of 8
  double temperature = 1;         // top-p is 1: log-probabilities are those sampled from
  int64_t max_reply_tokens = 64;  // longer replies are cut, which makes them malformed
  std::string advantage = "std";  // how a group's rewards become advantages: advantages.h
  // parts: the first token is credited with the stop decision, which it makes in plain format, the
  // others with the question's utility and format; ours.
  std::string credit = "reply";
  RewardPartWeights parts = {};  // with advantage or credit: parts
  // Cut replies are left out as unscored ones are; else they are malformed, which earns nothing.
  bool mask_truncated = false;
  int64_t overlong_buffer = 0;  // tokens: reward_shaping.h; 0: no penalty
  // While groups whose replies all earned the same leave a step short of others, so many times more
  // sessions are sampled; only the others are learned from. DAPO's dynamic sampling, arXiv
  // 2503.14476, section 3.2.
  int64_t dynamic_rounds = 0;
  // Several optimizer steps on one step's replies, with clipping against the policy that
  // sampled them. 1 and 1: the ratio is exactly 1.
  int64_t inner_epochs = 1, minibatches = 1;
  bool empty_targets = false;  // continue samples with nothing left to ask: any question is wrong
  SampleWeights weights = {};
  PolicyLossOptions loss = {};
  OptimizerOptions optimizer = {.lr = 1e-4};
  double max_failure_rate = 0.05;
  int64_t max_rows = 256;
  LoopOptions loop = {};

  template <class Visitor>
  void visit(Visitor& v) {
    v("steps", steps, Range{1, 1e6}, "optimizer steps (times inner_epochs x minibatches)");
    v("sessions_per_step", sessions_per_step, Range{1, 4096}, "sessions sampled in a step");
    v("group_size", group_size, Range{2, 256}, "replies sampled at each expert turn");
    v("temperature", temperature, Range{0.01, 10}, "of sampling");
    v("max_reply_tokens", max_reply_tokens, Range{1, 4096}, "replies are cut there");
    v.choice(
        "advantage", advantage, {"std", "mean", "leave_one_out", "batch", "best", "parts"},
        "rewards minus the group's mean, divided by its deviation (std), by nothing, or by the "
        "step's (batch); minus the others' mean; the best alone; each part of the reward by "
        "itself");
    v.choice("credit", credit, {"reply", "parts"},
             "advantages go to all tokens; parts: the stop decision's to the first only");
    v.group("parts", parts);
    v("mask_truncated", mask_truncated, "leave replies out that are cut");
    v("overlong_buffer", overlong_buffer, Range{0, 4096},
      "replies that leave fewer tokens free lose up to 1; 0: none do");
    v("dynamic_rounds", dynamic_rounds, Range{0, 100},
      "sample so many times more sessions for groups whose replies all earn the same");
    v("inner_epochs", inner_epochs, Range{1, 64}, "passes over a step's replies");
    v("minibatches", minibatches, Range{1, 64}, "optimizer steps in a pass");
    v("empty_targets", empty_targets, "also train where there was nothing left to ask");
    v.group("weights", weights);
    v.group("loss", loss);
    v.group("optimizer", optimizer);
    v("max_failure_rate", max_failure_rate, Range{0, 1},
      "the run pauses when more of the last 200 replies could not be graded");
    v("max_rows", max_rows, Range{1, 65536}, "replies decoded at a time; bounds memory");
    loop.visit(v);
  }
};

// Trains `adapter` in place, from where it stands: that is also the reference of the KL penalty.
// At the end it is that of the checkpoint with the highest mean reward of greedy replies on
// `held_out` (the last one if that is empty). Goes on where a killed run stood.
//
// Unlabelled samples and sessions without another one are passed over. Throws Failure: nothing
// to train on; kUnavailable when too many replies could not be graded; E1 cases of TrainingRun.
TrainResult train_grpo(const TrainerSetup& setup, std::span<const LabelledSession> sessions,
                       std::span<const LabelledSession> held_out, const RewardFn& reward,
                       const GrpoOptions& options, LoraAdapter& adapter);

}  // namespace l2a
