#include "cli/training_step.h"

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <map>
#include <memory>

#include <fmt/format.h>

#include "base/file.h"
#include "base/progress.h"
#include "cli/agreement_check.h"
#include "cli/command.h"
#include "cli/drift_watch.h"
#include "cli/export_formats.h"
#include "cli/model_files.h"
#include "cli/partial_path.h"
#include "cli/run_directory.h"
#include "hindsight/sample.h"
#include "model/full_weights.h"
#include "train/reply_group.h"

namespace l2a {
namespace {

namespace fs = std::filesystem;

// A progress bar that learns its total when the run begins.
TrainerEvents show_progress(std::unique_ptr<Progress>& bar, std::string what,
                            const std::string& noted_key) {
  TrainerEvents events;
  events.begin = [&bar, what](int64_t done, int64_t total) {
    bar = std::make_unique<Progress>(what, static_cast<size_t>(total), "steps");
    bar->skip(static_cast<size_t>(done));
  };
  events.step = [&bar, noted_key](int64_t, int64_t, const Json& metrics) {
    if (metrics.contains(noted_key) && metrics[noted_key].is_number()) {
      char text[64];
      std::snprintf(text, sizeof text, "%s %.3f", noted_key.c_str(),
                    metrics[noted_key].get<double>());
      bar->note(text);
    }
    bar->advance();
  };
  events.note = [](const std::string& text) { std::fprintf(stderr, "%s\n", text.c_str()); };
  return events;
}

std::vector<LabelledSession> read_held_out(const std::string& path) {
  if (path.empty()) return {};
  auto sessions = read_labels(path);
  if (sessions.empty()) {
    fail_input("train: --dev: " + path + ": no session in it (give others, or leave it out)");
  }
  return sessions;
}

std::unique_ptr<TrainedWeights> start_adapter(const TrainingFiles& files, const LoraOptions& lora,
                                              uint64_t seed, const Transformer& model) {
  auto adapter = std::make_unique<LoraAdapter>(
      files.adapter.empty() ? LoraAdapter(model.config(), lora, seed)
                            : LoraAdapter::load(files.adapter, model.config()));
  adapter->move_to(at::Device(model.options().device));
  return adapter;
}

// An adapter to start from brings its rank and alpha: they are the run's, and settings that ask for
// others are refused.
template <class Settings>
Settings with_lora_of_start(Settings settings, const TrainingFiles& files) {
  LoraOptions& lora = settings.finetuning.lora;
  if (settings.finetuning.what == "full") {
    if (lora == LoraOptions{}) return settings;
    fail_input("train: lora: not with finetuning: full, which trains no adapter (leave it out)");
  }
  if (files.adapter.empty()) return settings;
  const LoraOptions own = read_lora_options(files.adapter);
  if (lora != LoraOptions{} && lora != own) {
    fail_input(
        fmt::format("train: --adapter: {}: has rank {} and alpha {}, which the settings lora.rank "
                    "{} and lora.alpha {} cannot change (leave them out)",
                    files.adapter, own.rank, own.alpha, lora.rank, lora.alpha));
  }
  lora = own;
  return settings;
}

std::unique_ptr<TrainedWeights> start_full(const TrainingFiles& files, const PolicyOptions& options,
                                           const Transformer& model) {
  if (!files.adapter.empty()) {
    fail_input(
        "train: --adapter: not with finetuning: full (merge it into the model with learn2ask "
        "export, and set policy.model to that)");
  }
  if (options.int8_generation) {
    fail_input(
        "train: policy.int8_generation: not with finetuning: full, whose weights change with each "
        "step (leave one of them out)");
  }
  check_folder_can_say(model.config());
  return std::make_unique<FullWeights>(Transformer::load(
      open_model(options.model), {.compute = ComputeType::kFloat32,
                                  .device = options.device,
                                  .batch_invariant = model.options().batch_invariant}));
}

// What decides the result besides the settings: the data and the start.
std::string inputs_hash(const TrainingFiles& files, const PolicySetup& policy) {
  std::string text = sha256_file(files.labels) + policy.model_sha256();
  if (!files.dev.empty()) text += sha256_file(files.dev);
  if (!files.adapter.empty()) {
    for (const char* part : {"adapter_model.safetensors", "adapter_config.json"}) {
      text += sha256_file(fs::path(files.adapter) / part);
    }
  }
  return text;
}

using Texts = std::map<std::string, std::string>;  // by file name

// What all trainers stand on: model, data, start, run directory, progress. `texts` are kept in the
// run directory beside the system prompt.
struct TrainingStep {
  TrainingStep(const TrainingFiles& training_files, const PolicyOptions& policy_options,
               Fusion fusion, const FinetuningOptions& finetuning, uint64_t seed,
               const std::vector<ConfigField>& fields, Texts texts)
      : files(training_files),
        options(policy_options),
        policy(policy_options, fusion),
        sessions(read_labels(files.labels)),
        held_out(read_held_out(files.dev)),
        is_full(finetuning.what == "full"),
        trained(is_full ? start_full(files, options, policy.model)
                        : start_adapter(files, finetuning.lora, seed, policy.model)),
        directory(files.out, fields, with_prompt(std::move(texts))) {}

  Texts with_prompt(Texts texts) const {
    const auto [at, is_new] = texts.emplace(policy.prompt.name, policy.prompt.text);
    if (!is_new) {
      fail_input(
          fmt::format("train: policy.prompt: {}: the run directory keeps the grader's file "
                      "under that name (give this one another)",
                      at->first));
    }
    return texts;
  }

  // `reward`: the hash of what decides rewards besides the settings.
  TrainerSetup setup(const std::string& what, const std::string& noted_key,
                     const QuestionForms& forms, const std::string& reward = "") {
    const std::string decisive =
        directory.config_sha256() + inputs_hash(files, policy) + forms.phrases().sha256() + reward;
    TrainerEvents events = show_progress(bar, what, noted_key);
    events.begin = [this, after = events.begin](int64_t done, int64_t total) {
      directory.keep();
      after(done, total);
    };
    return {.model = policy.model,
            .window = policy.window(),
            .format = policy.format,
            .forms = &forms,
            .base_name = policy.model_name,
            .directory = files.out,
            .config_sha256 = sha256_hex(decisive),
            .events = std::move(events)};
  }

  // Saves what was trained, says what became of the run, and returns where it is.
  std::string finish(const TrainResult& result) {
    bar->finish();
    const char* const kind = is_full ? "model" : "adapter";
    const std::string saved = (fs::path(files.out) / kind).string();
    if (is_full) {
      save_model(saved);
    } else {
      trained->save(saved, policy.model_name);
    }
    std::printf("trained %lld steps (ended by %s); %s of %s -> %s\n",
                static_cast<long long>(result.steps), result.stopped_by.c_str(), kind,
                result.checkpoint.filename().c_str(), saved.c_str());
    return saved;
  }

  // As the policy computed with it.
  void save_model(const std::string& folder) const {
    const bool is_float = policy.model.options().compute == ComputeType::kFloat32;
    const Checkpoint start = open_model(options.model);
    const PartialPath partial(folder);
    export_folder({start, policy.model.config(), trained.get(), true},
                  is_float ? ElementType::kF32 : ElementType::kBf16, partial.path());
    partial.replace();
  }

  const TrainingFiles& files;
  const PolicyOptions& options;
  const PolicySetup policy;
  const std::vector<LabelledSession> sessions, held_out;
  const bool is_full;
  const std::unique_ptr<TrainedWeights> trained;
  const RunDirectory directory;
  std::unique_ptr<Progress> bar;
};

template <class Options, class Trainer>
std::string train_on_rewards(const RewardTrainingSettings<Options>& given, const Trainer& train,
                             const TrainingFiles& files) {
  const RewardTrainingSettings<Options> settings = with_lora_of_start(given, files);
  require_measured(settings.reward);
  const GraderInputs inputs = settings.reward.grader_inputs();
  const auto format = reply_format_from_name(settings.policy.reply_format).value_or_throw();
  Texts texts = {{"grader_thresholds.yaml", read_file(inputs.thresholds_file())}};
  if (settings.reward.grader == "llm") {
    texts["grading.txt"] = read_file(prompt_path(settings.grading.prompt, "grading/question"));
  }
  RewardSetup reward(settings, fs::path(files.out) / "ledger.jsonl", format);
  check_agreement(settings.reward, reward.grader_name());
  if (!settings.reward.sessions.empty()) {
    reward.require_sessions_of(read_labels(files.labels));
    reward.require_sessions_of(read_held_out(files.dev));
  }
  TrainingStep step(files, settings.policy, settings.reward.fusion_kind(), settings.finetuning,
                    settings.trainer.loop.seed, deciding_fields(list_config(settings)),
                    std::move(texts));
  TrainerSetup setup = step.setup(std::string("train ") + Options::kSection, "reward",
                                  reward.forms(), inputs.sha256());
  setup.grade_while_sampling = reward.waits_for_endpoint();
  const auto looks_on = reward.make_looker_on(settings.reward);
  const SampleIndex samples(step.sessions);
  std::optional<DriftWatch> watch;
  if (looks_on) {
    watch.emplace(files.out, samples, reward.forms(), format, *looks_on, reward.grader_name(),
                  settings.reward.look_every, setup.events.note);
    setup.events.step = [&watch, after = setup.events.step](int64_t done, int64_t total,
                                                            const Json& metrics) {
      after(done, total, metrics);
      watch->after(done);
    };
  }
  const TrainResult result = train(setup, step.sessions, step.held_out, reward.reward_fn(),
                                   settings.trainer, *step.trained);
  if (watch) watch->after(result.steps);
  if (!reward.costs().empty()) std::printf("%s\n", reward.costs().c_str());
  return step.finish(result);
}

template <class Settings>
CallEstimate estimate_calls(const Settings& settings, const TrainingFiles& files,
                            int64_t replies_a_context) {
  if (settings.reward.grader != "llm") return {};
  require_measured(settings.reward);
  const auto calls_once = [&](const std::vector<LabelledSession>& sessions) {
    return estimate_grading(sessions, settings.llm, settings.grading);
  };
  const auto& trainer = settings.trainer;
  const int64_t sampled =
      trainer.steps * trainer.replies.sessions_per_step * (1 + trainer.replies.dynamic_rounds);
  auto sessions = read_labels(files.labels);
  std::erase_if(sessions, [&](const LabelledSession& session) {  // as the trainer leaves them out
    return std::none_of(session.samples.begin(), session.samples.end(), [&](const Sample& sample) {
      return is_trained_on(sample, trainer.replies);
    });
  });
  if (sessions.empty()) fail_input(files.labels + ": none has a labelled sample to train on");
  CallEstimate calls =
      times(calls_once(sessions), static_cast<double>(sampled * replies_a_context) /
                                      static_cast<double>(sessions.size()));
  if (!files.dev.empty()) {
    const int64_t every = trainer.loop.evaluate_every;
    const int64_t evaluations = (trainer.steps + every - 1) / every;
    calls += times(calls_once(read_labels(files.dev)), static_cast<double>(evaluations));
  }
  return calls;
}

}  // namespace

CallEstimate estimate_grpo(const GrpoSettings& settings, const TrainingFiles& files) {
  return estimate_calls(settings, files, settings.trainer.replies.group_size);
}

CallEstimate estimate_dpo(const DpoSettings& settings, const TrainingFiles& files) {
  const bool with_experts = settings.trainer.pairs == "expert";  // whose replies are graded too
  return estimate_calls(settings, files,
                        settings.trainer.replies.group_size + (with_experts ? 1 : 0));
}

std::string train_sft_step(const SftSettings& given, const TrainingFiles& files) {
  const SftSettings settings = with_lora_of_start(given, files);
  TrainingStep step(files, settings.policy, Fusion::kProduct, settings.finetuning,
                    settings.sft.loop.seed, list_config(settings), {});
  const QuestionForms forms = QuestionForms::load(data_path("prompts/questions"));
  const TrainerSetup setup = step.setup("train sft", "loss", forms);
  return step.finish(train_sft(setup, step.sessions, step.held_out, settings.sft, *step.trained));
}

std::string train_grpo_step(const GrpoSettings& settings, const TrainingFiles& files) {
  const GrpoOptions& grpo = settings.trainer;
  const bool by_parts = grpo.advantage == "parts" || grpo.credit == "parts";
  if (by_parts && settings.reward.fusion_kind() != Fusion::kProduct) {
    fail_input(
        "train grpo: reward.fusion: advantage and credit: parts take the reward's parts each by "
        "itself, whatever they are fused by (leave it at product)");
  }
  return train_on_rewards(settings, train_grpo, files);
}

std::string train_dpo_step(const DpoSettings& settings, const TrainingFiles& files) {
  return train_on_rewards(settings, train_dpo, files);
}

}  // namespace l2a
