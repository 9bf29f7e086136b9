// What every trainer's loop stands on: the run directory with its journals and checkpoints,
// exact resume, held-out evaluation with early stopping, limits.
//
// A run that was killed and started again with the same arguments gives the same bytes as one
// that was not, but for the `time` objects of metrics.jsonl and state.json; and but where
// max_minutes ends it, or the schedule of the learning rate. It stands on rewards that are the same
// whenever they are asked for: `match` promises that up to rounding (match_grader.h), so a question
// whose similarity is a threshold's to the last bits may be graded differently after a resume.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "base/clock.h"
#include "base/config.h"
#include "base/file.h"
#include "base/json.h"
#include "dialogue/action.h"
#include "hindsight/question.h"
#include "model/transformer.h"
#include "rollout/context_window.h"
#include "rollout/sampler.h"
#include "train/adamw.h"

namespace l2a {

struct LoopOptions {
  uint64_t seed = 1;
  double max_minutes = 0;
  int64_t token_budget = 2048;  // activations of a tree stay in memory until its backward pass
  std::string verify_tree = "first";
  int64_t checkpoint_every = 10;
  int64_t evaluate_every = 10;
  int64_t patience = 0;

  template <class Visitor>
  void visit(Visitor& v) {
    v("seed", seed, Range{0, 1e15}, "of the order of sessions and of sampling");
    v("max_minutes", max_minutes, Range{0, 1e6},
      "training stops after this time, and the learning rate comes to its end by then; 0: no "
      "limit");
    v("token_budget", token_budget, Range{1, 1e6}, "tokens computed at a time; bounds memory");
    v.choice("verify_tree", verify_tree, {"first", "always", "never"},
             "check the session tree against unshared rows: at the first step, each, none");
    v("checkpoint_every", checkpoint_every, Range{1, 1e6}, "steps between checkpoints");
    v("evaluate_every", evaluate_every, Range{1, 1e6}, "steps between held-out evaluations");
    v("patience", patience, Range{0, 1e6},
      "training stops after so many evaluations without a better one; 0: never");
  }
};

struct TrainerEvents {
  // Before the first step of this call, once all inputs and options were checked: steps done by
  // earlier ones, steps in all.
  std::function<void(int64_t, int64_t)> begin = [](int64_t, int64_t) {};
  // After each step: steps done, steps in all, its line of metrics.jsonl.
  std::function<void(int64_t, int64_t, const Json&)> step = [](int64_t, int64_t, const Json&) {};
  std::function<void(const std::string&)> note = [](const std::string&) {};
};

// What a trainer is given beside its data. References outlive the call.
struct TrainerSetup {
  const Transformer& model;
  ContextWindow window;
  ReplyFormat format = ReplyFormat::kPlain;
  // SFT leaves out asking turns that have no question by these; null: none is left out.
  const QuestionForms* forms = nullptr;
  std::string base_name;            // of the model; an adapter says what it is of
  std::filesystem::path directory;  // of the run; made if need be
  std::string config_sha256;        // of all that decides the result: a resumed run must match
  // The reward function waits for somebody else: it is called on a thread of its own while replies
  // are being sampled (background_grading.h), and not once they all are.
  bool grade_while_sampling = false;
  TrainerEvents events = {};
  const Clock& clock = Clock::system();
};

// Throws Failure for held-out sessions that give no score, and for a patience without a score.
void check_held_out(const LoopOptions& loop, bool are_given, bool give_a_score);

// Says that so many contexts (`which`: "training", "held-out") are without their oldest turns;
// nothing for none.
void note_cut_contexts(const TrainerSetup& setup, const char* which, size_t count);

struct TrainResult {
  int64_t steps = 0;
  std::string stopped_by;                // "steps", "max_minutes", "patience"
  std::filesystem::path checkpoint;      // the best by held-out score, else the last
  std::optional<double> held_out_score;  // its score
};

// Where a run stands after `step` steps; what state.json holds.
struct TrainState {
  int64_t step = 0;
  std::optional<double> best_score;  // held-out; higher is better
  int64_t best_step = 0;
  int64_t evaluations_since_best = 0;
  // The last replies that a grader had to grade, oldest first: '1' unscored, '0' scored.
  std::string recent_unscored;
  std::map<std::string, size_t> journal_lines;
  double seconds = 0;  // spent in steps
};

// The score of the weights as they are on held-out sessions: finite, higher is better. May add to
// the step's metrics.
using HeldOutScore = std::function<double(Json& metrics)>;

// Not thread-safe. Weights, optimizer and setup outlive it.
class TrainingRun {
 public:
  // Makes the run directory, or restores weights, optimizer and state from its newest sound
  // checkpoint and cuts the journals to it. Throws Failure: another configuration, checkpoints of
  // which none is sound, a broken best one, journals that lack lines, kIo.
  TrainingRun(const TrainerSetup& setup, const LoopOptions& loop,
              const OptimizerOptions& optimizing, int64_t total_steps, TrainedWeights& trained,
              AdamW& optimizer);

  // Whether another step is due. Throws Failure when the user interrupted, after a checkpoint.
  // (What throws within a step, as a grader that is waited for does, leaves the last one.)
  bool goes_on();
  int64_t step() const { return state_.step; }  // done so far = index of the step due
  // Whether this step's rows are to be checked, now that there are some (verify_tree.h): with
  // "first" true once.
  bool must_verify();
  std::string& recent_unscored() { return state_.recent_unscored; }

  // Clips the gradients, takes an optimizer step, clears them. Throws Failure when `loss` or a
  // gradient is not finite: nothing has then been changed, weights and gradients are in evidence/.
  struct Update {
    double lr = 0, grad_norm = 0;  // norm before clipping
  };
  Update update(double loss);

  // What `sample` returns, which samples replies of the weights. Throws Failure when logits are not
  // finite: the weights are in evidence/.
  template <class Sample>
  auto sampled(const Sample& sample) const {
    return with_evidence(state_.step + 1, sample);
  }

  void log_rollout(const Json& row) { append("rollouts", row); }
  void log_failure(const Json& row) { append("failures", row); }

  // Ends a step: evaluates when due (`evaluate` is empty without held-out sessions), writes the
  // metrics line with `time`, checkpoints when due. Throws Failure when the score or the logits of
  // its replies are not finite: the step then leaves no checkpoint, its weights are in evidence/.
  void end_step(Json metrics, Json time, const HeldOutScore& evaluate);

  // What the run came to; the weights become those of the best checkpoint, with average_decay its
  // average. Throws Failure when that checkpoint is broken.
  TrainResult finish();

 private:
  std::string stop_reason() const;  // empty: goes on
  // For how many steps the learning rate's schedule is made: where max_minutes will end the run
  // sooner, about as many as it leaves room for.
  int64_t scheduled_steps() const;
  // Says where it is, or why it could not be written.
  std::string save_evidence(int64_t step) const;
  [[noreturn]] void fail_not_finite(int64_t step, const std::string& what) const;
  template <class Sample>
  auto with_evidence(int64_t step, const Sample& sample) const {
    try {
      return sample();
    } catch (const NotFiniteLogits&) {
      fail_not_finite(step, "logits of a reply");
    }
  }
  void append(const std::string& journal, const Json& row);
  void resume();
  // Where it is not the last: throws Failure when it is broken.
  std::optional<std::filesystem::path> best_checkpoint() const;
  void save();
  void count_time();
  std::filesystem::path checkpoints() const { return setup_.directory / "checkpoints"; }

  const TrainerSetup& setup_;
  LoopOptions loop_;
  OptimizerOptions optimizing_;
  int64_t total_steps_;
  TrainedWeights& trained_;
  AdamW& optimizer_;
  TrainState state_;
  std::map<std::string, std::unique_ptr<Journal>> journals_;
  std::chrono::steady_clock::time_point counted_to_;  // by state_.seconds
  bool has_verified_ = false;                         // in this process
  int64_t saved_step_ = 0;
};

// The sessions of step `step`: each epoch is a fresh shuffle that depends on (seed, epoch) only,
// cut into pieces of `per_step`. Indices into `sessions` > 0 sessions.
std::vector<size_t> sessions_of_step(size_t sessions, int64_t per_step, uint64_t seed,
                                     int64_t step);

}  // namespace l2a
