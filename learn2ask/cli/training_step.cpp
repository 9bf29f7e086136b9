#include "cli/training_step.h"

#include <cstdio>
#include <filesystem>
#include <memory>

#include "base/file.h"
#include "base/progress.h"
#include "cli/run_directory.h"
#include "hindsight/sample.h"

namespace l2a {
namespace {

namespace fs = std::filesystem;

// A progress bar that learns its total from the first step.
TrainerEvents show_progress(std::unique_ptr<Progress>& bar, std::string what,
                            const std::string& noted_key) {
  TrainerEvents events;
  events.step = [&bar, what, noted_key](int64_t done, int64_t total, const Json& metrics) {
    if (!bar) {
      bar = std::make_unique<Progress>(what, static_cast<size_t>(total), "steps");
      bar->advance(static_cast<size_t>(done - 1));  // of an earlier call
    }
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

std::vector<LabelledSession> read_optional_labels(const std::string& path) {
  return path.empty() ? std::vector<LabelledSession>() : read_labels(path);
}

LoraAdapter start_adapter(const TrainingFiles& files, const LoraOptions& lora, uint64_t seed,
                          const Transformer& model) {
  if (!files.adapter.empty()) return LoraAdapter::load(files.adapter, model.config());
  return LoraAdapter(model.config(), lora, seed);
}

// What decides the result besides the settings: the data and the start.
std::string inputs_hash(const TrainingFiles& files) {
  std::string text = sha256_file(files.labels);
  if (!files.dev.empty()) text += sha256_file(files.dev);
  if (!files.adapter.empty()) {
    text += sha256_file(fs::path(files.adapter) / "adapter_model.safetensors");
  }
  return text;
}

std::string report_result(const TrainResult& result, const std::string& out,
                          const LoraAdapter& adapter, const std::string& base_name) {
  const std::string directory = (fs::path(out) / "adapter").string();
  adapter.save(directory, base_name);
  std::printf("trained %lld steps (ended by %s); adapter of %s -> %s\n",
              static_cast<long long>(result.steps), result.stopped_by.c_str(),
              result.checkpoint.filename().c_str(), directory.c_str());
  return directory;
}

}  // namespace

std::string train_sft_step(const SftSettings& settings, const TrainingFiles& files) {
  const PolicySetup policy(settings.policy, Fusion::kProduct);
  const RunDirectory directory =
      open_run_directory(files.out, list_config(settings), {{policy.prompt_name, policy.prompt}});
  const auto sessions = read_labels(files.labels), held_out = read_optional_labels(files.dev);
  LoraAdapter adapter = start_adapter(files, settings.lora, settings.sft.loop.seed, policy.model);
  std::unique_ptr<Progress> bar;
  const TrainerSetup setup{
      .model = policy.model,
      .chat = policy.chat,
      .system_prompt = policy.prompt,
      .format = policy.format,
      .base_name = policy.model_name,
      .directory = files.out,
      .config_sha256 = sha256_hex(directory.config_sha256 + inputs_hash(files)),
      .events = show_progress(bar, "train sft", "loss")};
  const TrainResult result = train_sft(setup, sessions, held_out, settings.sft, adapter);
  if (bar) bar->finish();
  return report_result(result, files.out, adapter, policy.model_name);
}

std::string train_grpo_step(const GrpoSettings& settings, const TrainingFiles& files) {
  const PolicySetup policy(settings.policy, settings.reward.fusion_kind());
  const auto sessions = read_labels(files.labels), held_out = read_optional_labels(files.dev);
  RewardSetup reward(settings.reward, policy.format);
  const RunDirectory directory =
      open_run_directory(files.out, list_config(settings), {{policy.prompt_name, policy.prompt}});
  LoraAdapter adapter = start_adapter(files, settings.lora, settings.grpo.loop.seed, policy.model);
  std::unique_ptr<Progress> bar;
  const TrainerSetup setup{
      .model = policy.model,
      .chat = policy.chat,
      .system_prompt = policy.prompt,
      .format = policy.format,
      .base_name = policy.model_name,
      .directory = files.out,
      .config_sha256 = sha256_hex(directory.config_sha256 + inputs_hash(files)),
      .events = show_progress(bar, "train grpo", "reward")};
  const TrainResult result =
      train_grpo(setup, sessions, held_out, reward.reward_fn(), settings.grpo, adapter);
  if (bar) bar->finish();
  return report_result(result, files.out, adapter, policy.model_name);
}

}  // namespace l2a
