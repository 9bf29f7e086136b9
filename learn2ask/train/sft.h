// Supervised fine-tuning on what the expert did: the asking turns' words, and the stop.
//
// A session is one token tree. Where a target is what the transcript goes on with (an asking
// turn, in plain format) it stands in the trunk; stops and `tuple` targets are leaves. The loss
// is the mean negative log-likelihood of the step's target tokens, however they are spread over
// trees.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/config.h"
#include "hindsight/sample.h"
#include "train/expert_reply.h"
#include "train/rows.h"
#include "train/sample_weights.h"
#include "train/training_run.h"

namespace l2a {

struct SftOptions {
  int64_t epochs = 2;
  int64_t sessions_per_step = 8;
  std::string targets = "replies";
  ExpertTurns turns = {};
  SampleWeights weights = {};  // of a sample's token losses
  OptimizerOptions optimizer = {.lr = 5e-4};
  LoopOptions loop = {};

  template <class Visitor>
  void visit(Visitor& v) {
    v("epochs", epochs, Range{1, 1000}, "times that each session is trained on");
    v("sessions_per_step", sessions_per_step, Range{1, 4096}, "sessions in one optimizer step");
    v.choice("targets", targets, {"replies", "all"},
             "tokens that are learned: the expert's replies, or all up to them");
    turns.visit(v);
    v.group("weights", weights);
    v.group("optimizer", optimizer);
    loop.visit(v);
  }
};

struct SftRows {
  std::vector<TrainingRow> rows;
  std::vector<double> weights;  // one a row
  size_t contexts_cut = 0;      // rows that do not have the oldest turns
};

// Appends a session's rows: one for each labelled sample that is a target, in turn order. With
// targets: all a row's begin where it leaves the row before it, so that every token of the
// transcript, the first excepted, is one once (where the oldest turns are cut, once more). Throws
// Failure for a row longer than the model's positions.
void append_sft_rows(const LabelledSession& session, const TrainerSetup& setup,
                     const SftOptions& options, SftRows& out);

// Weighted mean negative log-likelihood of the rows' target tokens, nats; no autograd. A row has
// weight.
double mean_nll(const Transformer& model, const TrainedWeights* trained, const SftRows& rows,
                int64_t token_budget);

// Trains `trained` in place; at the end it is that of the checkpoint with the lowest mean_nll on
// `held_out` (the last one if that is empty). Goes on where a killed run stood. Sessions without
// a target that has weight are passed over. Throws Failure: nothing to train on, E1 cases of
// TrainingRun.
TrainResult train_sft(const TrainerSetup& setup, std::span<const LabelledSession> sessions,
                      std::span<const LabelledSession> held_out, const SftOptions& options,
                      TrainedWeights& trained);

}  // namespace l2a
