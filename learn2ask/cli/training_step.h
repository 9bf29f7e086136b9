// The training commands as functions: what `learn2ask train` and the pipeline both call.
#pragma once

#include <string>
#include <vector>

#include "base/config.h"
#include "cli/grading_estimate.h"
#include "cli/policy_setup.h"
#include "cli/reward_setup.h"
#include "model/lora.h"
#include "train/dpo.h"
#include "train/grpo.h"
#include "train/sft.h"

namespace l2a {

// What of the policy is trained.
struct FinetuningOptions {
  std::string what = "lora";
  LoraOptions lora;  // an adapter to start from brings its own

  template <class Visitor>
  void visit(Visitor& v) {
    v.choice(
        "finetuning", what, {"lora", "full"},
        "what is trained: an adapter beside the frozen weights, or all weights, which want about a "
        "tenth of the learning rate");
    v.group("lora", lora);
  }
};

struct SftSettings {
  PolicyOptions policy;
  FinetuningOptions finetuning;
  SftOptions sft;

  template <class Visitor>
  void visit(Visitor& v) {
    v.group("policy", policy);
    finetuning.visit(v);
    v.group("sft", sft);
  }
};

// Of a trainer that learns from graded replies.
template <class Options>
struct RewardTrainingSettings : RewardSettings {
  PolicyOptions policy;
  FinetuningOptions finetuning;
  Options trainer;

  template <class Visitor>
  void visit(Visitor& v) {
    v.group("policy", policy);
    finetuning.visit(v);
    RewardSettings::visit(v);
    v.group(Options::kSection, trainer);
  }
};
using GrpoSettings = RewardTrainingSettings<GrpoOptions>;
using DpoSettings = RewardTrainingSettings<DpoOptions>;

struct TrainingFiles {
  std::string labels;
  std::string dev;      // labels to choose the checkpoint by; may be empty
  std::string adapter;  // to start from; empty: a fresh one
  std::string out;      // run directory
};

// All train in `files.out`, go on there where an earlier call was killed, and leave the best
// adapter in `files.out`/adapter or, where all weights are trained, the best model in
// `files.out`/model, a folder in the policy's type of arithmetic. That is what they return.
// Progress goes to standard error. Throw Failure.
std::string train_sft_step(const SftSettings& settings, const TrainingFiles& files);
std::string train_grpo_step(const GrpoSettings& settings, const TrainingFiles& files);
std::string train_dpo_step(const DpoSettings& settings, const TrainingFiles& files);

// The calls that the grader llm would make in a run that is not yet begun, about, for sessions of
// mean length; none with another grader. Nothing is sampled, sent or written. Throw Failure.
CallEstimate estimate_grpo(const GrpoSettings& settings, const TrainingFiles& files);
CallEstimate estimate_dpo(const DpoSettings& settings, const TrainingFiles& files);

}  // namespace l2a
