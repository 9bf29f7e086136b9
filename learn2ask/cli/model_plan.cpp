#include "cli/model_plan.h"

#include <cmath>
#include <cstdio>
#include <memory>
#include <optional>
#include <string>

#include <fmt/format.h>

#include "base/error.h"
#include "base/utf8.h"
#include "cli/command.h"
#include "cli/model_actions.h"
#include "cli/model_files.h"
#include "model/memory_plan.h"

namespace l2a {
namespace {

constexpr double kGigabyte = 1e9;

struct PlanOptions {
  std::string model, parameters, file_type = "q4_k", compute = "bf16";
  int64_t rank = 16, token_budget = 2048, cached_tokens = 32768;
  bool recompute_activations = false;
  std::string finetuning = "lora";
  std::optional<double> memory;  // GB
};

struct PlannedModel {
  std::string name;
  TransformerConfig config;
  double file_bits;  // of a weight in the layers' matrices
};

// "32B", "135M", "32000000000".
double count_from_text(const std::string& text) {
  size_t used = 0;
  double count = 0;
  try {
    count = std::stod(text, &used);
  } catch (const std::exception&) {
    used = 0;
  }
  const std::string unit = text.substr(used);
  const double scale = unit == "B" ? 1e9 : unit == "M" ? 1e6 : unit.empty() ? 1 : 0;
  if (used == 0 || !(count > 0) || !std::isfinite(count) || scale == 0) {
    fail_input("model plan: --params " + shown(text) + ": expected a size such as 7B or 135M");
  }
  return count * scale;
}

PlannedModel stand_in(const PlanOptions& options) {
  const double wanted = count_from_text(options.parameters);
  const auto off = [&](const KnownShape& shape) {
    return std::fabs(std::log(parameter_count(shape.config) / wanted));
  };
  const auto shapes = known_shapes();
  const KnownShape* nearest = &shapes.front();
  for (const KnownShape& shape : shapes) {
    if (off(shape) < off(*nearest)) nearest = &shape;
  }
  const auto type = element_type_from_name(options.file_type);
  if (!type) fail_input("model plan: --type " + shown(options.file_type) + ": no element type");
  return {fmt::format("{}, whose shape stands for {}", nearest->name, options.parameters),
          nearest->config, bits_per_value(*type)};
}

PlannedModel read_model(const std::string& path) {
  const Checkpoint files = open_model(path);
  double bytes = 0, values = 0;
  for (const std::string& name : files.names()) {
    const StoredTensor& tensor = files.stored(name);
    if (!name.starts_with("model.layers.") || tensor.shape.size() != 2) continue;
    bytes += static_cast<double>(tensor.data.size());
    values += static_cast<double>(element_count(tensor));
  }
  if (values == 0) fail_input("model plan: " + files.path().string() + ": no layers");
  return {files.path().string(), Transformer::read_config(files), 8 * bytes / values};
}

void print_texts(const std::string& what, const std::string& held, const std::string& kept) {
  std::printf("%-52s%12s%12s\n", what.c_str(), held.c_str(), kept.c_str());
}

void print_row(const std::string& what, double held, double kept) {
  const auto gigabytes = [](double bytes) {
    return bytes == 0 ? std::string("-") : fmt::format("{:.2f} GB", bytes / kGigabyte);
  };
  print_texts(what, gigabytes(held), gigabytes(kept));
}

// "no", or the largest tree that leaves room for the rest.
std::string fit(const MemoryPlan& plan, const PlanOptions& options) {
  const double memory = *options.memory * kGigabyte;
  if (plan.rollout(options.cached_tokens) > memory) return "no";
  int64_t tokens = 0;
  for (int64_t step = int64_t{1} << 30; step > 0; step /= 2) {
    if (plan.training(tokens + step) <= memory) tokens += step;
  }
  return tokens < options.token_budget ? "no" : fmt::format("to {}", tokens);
}

void show_plan(const PlanOptions& options) {
  const PlannedModel model =
      options.parameters.empty() ? read_model(options.model) : stand_in(options);
  MemoryPlanOptions what;
  what.file_bits = model.file_bits;
  what.lora.rank = options.rank;
  what.full = options.finetuning == "full";
  what.model.recompute_activations = options.recompute_activations;
  what.model.compute = options.compute == "fp32" ? ComputeType::kFloat32 : ComputeType::kBfloat16;
  const MemoryPlan held = plan_memory(model.config, what);
  what.model.keep_quantized = true;
  const MemoryPlan kept = plan_memory(model.config, what);
  what.model.int8_generation = true;
  const double int8 = plan_memory(model.config, what).int8;

  std::printf("model       %s\n", shown(model.name, 200).c_str());
  std::printf(
      "parameters  %.3g billion; %ld layers of width %ld; %.2f bits a weight in the file\n\n",
      parameter_count(model.config) / 1e9, model.config.layers, model.config.width,
      model.file_bits);
  print_texts("policy.keep_quantized", "false", "true");
  print_row("embedding and head, " + options.compute, held.embedding, kept.embedding);
  print_row("layers", held.layers, kept.layers);
  print_row("the layer at work, " + options.compute, held.widened_layer, kept.widened_layer);
  print_row(what.full ? "trained weights, fp32, with a pass's copies"
                      : fmt::format("adapter of rank {}, with a pass's copies", options.rank),
            held.trained, kept.trained);
  print_row("its gradients and AdamW's moments", held.optimizer, kept.optimizer);
  const auto tokens = static_cast<double>(options.token_budget);
  print_row(fmt::format("activations of a tree of {} tokens", options.token_budget),
            tokens * held.kept_token, tokens * kept.kept_token);
  print_row("those of the layer at work, or the head's", held.at_work(options.token_budget),
            kept.at_work(options.token_budget));
  const auto cached = static_cast<double>(options.cached_tokens);
  print_row(fmt::format("keys and values of {} tokens", options.cached_tokens),
            cached * held.cached_token, cached * kept.cached_token);
  std::printf("\n");
  print_row("training pass, at most", held.training(options.token_budget),
            kept.training(options.token_budget));
  print_row("rollout, at most", held.rollout(options.cached_tokens),
            kept.rollout(options.cached_tokens));
  print_row("a reference (DPO, KL) or average adds to each", held.copy, kept.copy);
  if (!what.full) print_row("policy.int8_generation adds to each", int8, int8);
  if (options.memory) {
    print_texts(fmt::format("token_budget that fits in {:g} GB", *options.memory),
                fit(held, options), fit(kept, options));
  }
}

}  // namespace

void add_model_plan_action(CLI::App& command) {
  auto* action = command.add_subcommand(
      "plan", "The memory that rollouts and training take, counted from the shape");
  auto options = std::make_shared<PlanOptions>();
  add_model_argument(*action, options->model);
  auto* parameters = action->add_option(
      "--params", options->parameters,
      "Instead of MODEL: a size such as 7B or 32B; the nearest of Qwen2.5's and SmolLM2's shapes");
  action->get_option("MODEL")->excludes(parameters);
  action->add_option("--type", options->file_type, "With --params: element type of the file")
      ->needs(parameters)
      ->capture_default_str();
  action->add_option("--dtype", options->compute, "Type of the arithmetic")
      ->check(CLI::IsMember({"fp32", "bf16"}))
      ->capture_default_str();
  action->add_option("--finetuning", options->finetuning, "What is trained")
      ->check(CLI::IsMember({"lora", "full"}))
      ->capture_default_str();
  action->add_option("--rank", options->rank, "Of the adapter")
      ->check(CLI::Range(1, 512))
      ->capture_default_str();
  action->add_option("--token-budget", options->token_budget, "Tokens of a training pass")
      ->check(CLI::Range(1, 1 << 20))
      ->capture_default_str();
  action->add_option("--cached-tokens", options->cached_tokens, "Tokens of a rollout's caches")
      ->check(CLI::Range(1, 1 << 30))
      ->capture_default_str();
  action->add_flag("--recompute-activations", options->recompute_activations,
                   "Count with policy.recompute_activations");
  action->add_option("--memory", options->memory, "GB that there are: says what fits")
      ->check(CLI::PositiveNumber);
  action->callback([=] {
    if (options->finetuning == "full") {
      refuse_options(*action, "model plan", {"--rank"}, "not with --finetuning full");
    }
    show_plan(*options);
  });
}

}  // namespace l2a
