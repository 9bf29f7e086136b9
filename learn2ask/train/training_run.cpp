#include "train/training_run.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include <fmt/format.h>
#include <torch/types.h>

#include "base/interrupt.h"
#include "base/rng.h"
#include "model/safetensors_writer.h"
#include "train/checkpoint.h"
#include "train/meter.h"

namespace l2a {
namespace {

namespace fs = std::filesystem;

constexpr const char* kJournals[] = {"metrics", "rollouts", "failures"};
constexpr size_t kNewestCheckpoints = 2;

Json to_json(const TrainState& state, const std::string& config_sha256) {
  return {{"step", state.step},
          {"config_sha256", config_sha256},
          {"best_score", state.best_score ? Json(*state.best_score) : Json()},
          {"best_step", state.best_step},
          {"evaluations_since_best", state.evaluations_since_best},
          {"recent_unscored", state.recent_unscored},
          {"journal_lines", state.journal_lines},
          {"time", {{"seconds", state.seconds}}}};
}

// The checksums have matched: a missing key is another version of the program.
TrainState state_from_json(const Json& json, const std::string& where) {
  try {
    TrainState state;
    state.step = json.at("step");
    if (!json.at("best_score").is_null()) state.best_score = json.at("best_score").get<double>();
    state.best_step = json.at("best_step");
    state.evaluations_since_best = json.at("evaluations_since_best");
    state.recent_unscored = json.at("recent_unscored");
    for (const auto& [name, lines] : json.at("journal_lines").items()) {
      state.journal_lines[name] = lines;
    }
    state.seconds = json.at("time").at("seconds");
    return state;
  } catch (const Json::exception& e) {
    fail_input(fmt::format("checkpoint: {}: state.json: {}", where, e.what()));
  }
}

// The parameter whose gradient is not finite.
std::string broken_parameter(const TrainedWeights& trained) {
  for (const auto& [name, p] : trained.named_parameters()) {
    if (p.grad().defined() && !at::isfinite(p.grad()).all().item<bool>()) return name;
  }
  return "the sum over all parameters";
}

}  // namespace

TrainingRun::TrainingRun(const TrainerSetup& setup, const LoopOptions& loop,
                         const OptimizerOptions& optimizing, int64_t total_steps,
                         TrainedWeights& trained, AdamW& optimizer)
    : setup_(setup),
      loop_(loop),
      optimizing_(optimizing),
      total_steps_(total_steps),
      trained_(trained),
      optimizer_(optimizer) {
  make_private_directory(checkpoints());
  resume();
  for (const char* name : kJournals) {
    const auto path = setup_.directory / fmt::format("{}.jsonl", name);
    auto journal = std::make_unique<Journal>(path);
    journal->truncate_to(state_.journal_lines[name]);
    journals_[name] = std::move(journal);
  }
  setup_.events.begin(state_.step, total_steps_);
  counted_to_ = setup_.clock.now();
}

void TrainingRun::resume() {
  const auto found = find_newest_checkpoint(checkpoints(), setup_.events.note);
  if (!found) return;
  const auto hash = get_string(found->state, "config_sha256").value_or_throw();
  if (hash != setup_.config_sha256) {
    fail_input(
        fmt::format("run: {}: was started with another configuration (use another run "
                    "directory, or the same configuration)",
                    setup_.directory.string()));
  }
  state_ = state_from_json(found->state, found->path.string());
  load_checkpoint(found->path, trained_, optimizer_);
  best_checkpoint();  // a broken one is to show now, not after the last step
  saved_step_ = state_.step;
  setup_.events.note(fmt::format("goes on after step {} ({})", state_.step, found->path.string()));
}

std::optional<fs::path> TrainingRun::best_checkpoint() const {
  if (!state_.best_score || state_.best_step == state_.step) return std::nullopt;
  const fs::path best = checkpoint_path(checkpoints(), state_.best_step);
  const auto sound = read_checkpoint_state(best);
  if (!sound) {
    fail_input(fmt::format("{} (it is the best by held-out score; the last one is step-{})",
                           sound.error().message, state_.step));
  }
  return best;
}

std::string TrainingRun::stop_reason() const {
  if (state_.step >= total_steps_) return "steps";
  if (loop_.max_minutes > 0 && state_.seconds >= 60 * loop_.max_minutes) return "max_minutes";
  if (loop_.patience > 0 && state_.evaluations_since_best >= loop_.patience) return "patience";
  return "";
}

// The first steps are no measure of the pace; and a run that the time will not end is to be the
// same however fast the machine is.
int64_t TrainingRun::scheduled_steps() const {
  const double limit = 60 * loop_.max_minutes;
  if (limit == 0 || state_.seconds < limit / 4) return total_steps_;
  const double at_this_pace = static_cast<double>(state_.step) * limit / state_.seconds;
  return std::min(total_steps_, static_cast<int64_t>(at_this_pace));
}

bool TrainingRun::goes_on() {
  try {
    throw_if_interrupted();
  } catch (const Failure&) {
    if (saved_step_ != state_.step) save();
    throw;
  }
  return stop_reason().empty();
}

bool TrainingRun::must_verify() {
  const bool is_first = !std::exchange(has_verified_, true);
  return loop_.verify_tree == "always" || (loop_.verify_tree == "first" && is_first);
}

std::string TrainingRun::save_evidence(int64_t step) const {
  const fs::path evidence = setup_.directory / "evidence" / fmt::format("step-{}", step);
  try {
    trained_.save(evidence, setup_.base_name);
    SafetensorsWriter gradients;
    for (const auto& [name, p] : trained_.named_parameters()) {
      if (p.grad().defined()) gradients.add(name, p.grad());
    }
    gradients.write(evidence / "gradients.safetensors");
    return "weights and gradients are in " + evidence.string();
  } catch (const Failure& failure) {
    return "weights and gradients could not be kept: " + failure.error.message;
  }
}

void TrainingRun::fail_not_finite(int64_t step, const std::string& what) const {
  const std::string evidence = save_evidence(step);
  const auto steps = list_checkpoints(checkpoints());
  fail(ErrorCode::kUnsupported,
       fmt::format("train: step {}: {}: not finite: the run is stopped; {}; {} (try a lower lr)",
                   step, what,
                   steps.empty()
                       ? "there is no checkpoint yet"
                       : fmt::format("the last good checkpoint is {}",
                                     checkpoint_path(checkpoints(), steps.back()).string()),
                   evidence));
}

TrainingRun::Update TrainingRun::update(double loss) {
  const auto& parameters = optimizer_.parameters();
  const double norm = gradient_norm(parameters);
  if (!std::isfinite(loss)) fail_not_finite(state_.step + 1, "loss");
  if (!std::isfinite(norm)) {
    fail_not_finite(state_.step + 1, "gradient of " + broken_parameter(trained_));
  }
  clip_gradients(parameters, norm, optimizing_.max_grad_norm);
  const double lr = learning_rate(optimizing_, state_.step, scheduled_steps());
  optimizer_.step(lr);
  optimizer_.zero_grad();
  return {.lr = lr, .grad_norm = norm};
}

void TrainingRun::append(const std::string& journal, const Json& row) {
  journals_.at(journal)->append(dump_json(row));
  ++state_.journal_lines[journal];
}

void TrainingRun::end_step(Json metrics, Json time, const HeldOutScore& evaluate) {
  ++state_.step;
  const double before = state_.seconds;
  count_time();
  bool last = !stop_reason().empty(), evaluated = false;
  if (evaluate && (last || state_.step % loop_.evaluate_every == 0)) {
    optimizer_.swap_average();
    const double score = with_evidence(state_.step, [&] { return evaluate(metrics); });
    optimizer_.swap_average();
    if (!std::isfinite(score)) fail_not_finite(state_.step, "held-out score");
    evaluated = true;
    metrics["held_out"] = score;
    ++state_.evaluations_since_best;
    if (!state_.best_score || score > *state_.best_score) {
      state_.best_score = score;
      state_.best_step = state_.step;
      state_.evaluations_since_best = 0;
    }
    count_time();
    last = !stop_reason().empty();
  }
  time["seconds"] = state_.seconds - before;
  if (const auto peak = peak_memory_mib()) time["peak_memory_mib"] = *peak;
  metrics["time"] = std::move(time);
  append("metrics", metrics);
  if (last || evaluated || state_.step % loop_.checkpoint_every == 0) save();
  setup_.events.step(state_.step, total_steps_, metrics);
}

// What a step leaves to do after it, a checkpoint and a look at drift, counts in the next one.
void TrainingRun::count_time() {
  const auto now = setup_.clock.now();
  state_.seconds += std::chrono::duration<double>(now - counted_to_).count();
  counted_to_ = now;
}

void TrainingRun::save() {
  for (auto& [name, journal] : journals_) journal->sync();
  save_checkpoint(checkpoints(), state_.step, trained_, optimizer_,
                  to_json(state_, setup_.config_sha256), setup_.base_name);
  prune_checkpoints(checkpoints(), state_.step, kNewestCheckpoints,
                    state_.best_score ? std::optional(state_.best_step) : std::nullopt);
  saved_step_ = state_.step;
}

TrainResult TrainingRun::finish() {
  TrainResult result{.steps = state_.step,
                     .stopped_by = stop_reason(),
                     .checkpoint = checkpoint_path(checkpoints(), state_.step),
                     .held_out_score = state_.best_score};
  if (const auto best = best_checkpoint()) {
    result.checkpoint = *best;
    load_checkpoint(*best, trained_, optimizer_);
  }
  optimizer_.swap_average();
  return result;
}

void check_held_out(const LoopOptions& loop, bool are_given, bool give_a_score) {
  if (are_given && !give_a_score) {
    fail_input(
        "train: --dev: no sample is trained on, so nothing gives a score (give others, or none)");
  }
  if (loop.patience > 0 && !are_given) {
    fail_input("train: patience: nothing is scored without --dev (give it, or leave patience out)");
  }
}

void note_cut_contexts(const TrainerSetup& setup, const char* which, size_t count) {
  if (count == 0) return;
  setup.events.note(fmt::format(
      "{} contexts without their oldest turns, more than the model holds: {}", which, count));
}

std::vector<size_t> sessions_of_step(size_t sessions, int64_t per_step, uint64_t seed,
                                     int64_t step) {
  check(sessions > 0 && per_step > 0, "sessions_of_step: nothing to choose from");
  const auto piece = static_cast<size_t>(per_step);
  const auto steps_per_epoch = static_cast<int64_t>((sessions + piece - 1) / piece);
  std::vector<size_t> order(sessions);
  std::iota(order.begin(), order.end(), size_t{0});
  Rng::stream(seed, "order of sessions", static_cast<uint64_t>(step / steps_per_epoch))
      .shuffle(order);
  const size_t begin = static_cast<size_t>(step % steps_per_epoch) * piece;
  const size_t end = std::min(begin + piece, sessions);
  return {order.begin() + static_cast<std::ptrdiff_t>(begin),
          order.begin() + static_cast<std::ptrdiff_t>(end)};
}

}  // namespace l2a
