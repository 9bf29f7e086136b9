// GRPO on logged sessions: at every expert turn a group of replies is sampled, each is graded
// against what the expert went on to learn, and the policy moves towards those that beat their
// group.
//
// Here: options and the loop. Groups (sampling, grading, advantages) are in reply_group.h, the
// optimizer steps in grpo_update.h, the loss in grpo_loss.h. Source: arXiv 2402.03300.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "base/config.h"
#include "hindsight/sample.h"
#include "train/grpo_loss.h"
#include "train/reward_fn.h"
#include "train/sample_weights.h"
#include "train/training_run.h"

namespace l2a {

struct GrpoOptions {
  int64_t steps = 100;
  int64_t sessions_per_step = 4;  // all expert turns of each
  int64_t group_size = 8;         // 70% of groups of 2 are homogeneous, 20% of groups of 8
  double temperature = 1;         // top-p is 1: log-probabilities are those sampled from
  int64_t max_reply_tokens = 64;  // longer replies are cut, which makes them malformed
  // How a group's rewards become advantages: centred and divided by their standard deviation,
  // or centred only.
  std::string advantage = "std";
  // Several optimizer steps on one step's replies, with clipping against the policy that
  // sampled them. 1 and 1: the ratio is exactly 1.
  int64_t inner_epochs = 1, minibatches = 1;
  bool empty_targets = false;  // continue samples with nothing left to ask: any question is wrong
  SampleWeights weights = {};
  GrpoLossOptions loss = {};
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
    v.choice("advantage", advantage, {"std", "mean"},
             "rewards minus the group's mean; std: divided by its deviation");
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
