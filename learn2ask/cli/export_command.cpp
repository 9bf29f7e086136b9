// `learn2ask export`: the trained policy in the formats that others read.
#include <cmath>
#include <cstdio>
#include <memory>
#include <optional>
#include <string>

#include <torch/types.h>

#include "base/error.h"
#include "base/file.h"
#include "base/rng.h"
#include "cli/command.h"
#include "cli/export_formats.h"
#include "cli/model_actions.h"
#include "cli/model_files.h"
#include "cli/partial_path.h"
#include "model/transformer.h"

namespace l2a {
namespace {

namespace fs = std::filesystem;

struct ExportOptions {
  std::string model, adapter, format, type, out;  // type: empty where none is given
  bool verify = false;
};

// An element type, and how far it may move the logits: their difference's norm over their norm.
// Each weight is off by at most half a unit in the last place; 32 of these leave room for what
// layers add to it, and no more: a wrong tensor is off by the order of 1.
struct NamedType {
  const char* name;
  ElementType type;
  double tolerance;
};
constexpr double kUnits = 32;
constexpr NamedType kTypes[] = {{"f32", ElementType::kF32, kUnits * 0x1p-24},
                                {"f16", ElementType::kF16, kUnits * 0x1p-12},
                                {"bf16", ElementType::kBf16, kUnits * 0x1p-9},
                                {"q8_0", ElementType::kQ8_0, kUnits / 254}};

const NamedType& find_type(const std::string& name) {
  for (const NamedType& type : kTypes) {
    if (name == type.name) return type;
  }
  fail_input("export: no type '" + name + "'");
}

// Made up, the same for every export.
std::vector<std::vector<int32_t>> probe_rows(const TransformerConfig& config) {
  constexpr size_t kRows = 4, kTokens = 48;
  Rng rng = Rng::stream(1, "export");
  std::vector<std::vector<int32_t>> rows(kRows);
  for (auto& row : rows) {
    while (row.size() < std::min(kTokens, static_cast<size_t>(config.max_positions))) {
      row.push_back(static_cast<int32_t>(rng.below(static_cast<uint64_t>(config.vocabulary))));
    }
  }
  return rows;
}

at::Tensor logits_of(const Transformer& model, const TrainedWeights* adapter,
                     const std::vector<int32_t>& row) {
  const std::vector<std::vector<int32_t>> rows = {row};
  return model.logits(model.prefill(build_token_tree(rows), adapter).hidden_nd).to(at::kDouble);
}

// Loads the export, and holds its logits against the original's.
void verify(const Checkpoint& files, const TrainedWeights* adapter, const fs::path& exported,
            const LoraAdapter* exported_adapter, const NamedType& type) {
  const ModelOptions exact = {.compute = ComputeType::kFloat32, .device = "cpu"};
  const Transformer original = Transformer::load(files, exact);
  const Transformer copy = Transformer::load(Checkpoint::open(exported), exact);
  double worst = 0;
  int64_t agreeing = 0, positions = 0;
  for (const auto& row : probe_rows(original.config())) {
    const at::Tensor theirs = logits_of(original, adapter, row);
    const at::Tensor ours = logits_of(copy, exported_adapter, row);
    worst = std::max(worst, ((ours - theirs).norm() / theirs.norm()).item<double>());
    agreeing += (ours.argmax(1) == theirs.argmax(1)).sum().item<int64_t>();
    positions += theirs.size(0);
  }
  std::printf(
      "verified       logits differ by %.2g of their norm (allowed %.2g), %ld of %ld likeliest "
      "tokens alike\n",
      worst, type.tolerance, agreeing, positions);
  if (!(worst <= type.tolerance)) {
    fail_input("export: the logits of the export are not those of the original: it is not kept");
  }
}

void run_export(const ExportOptions& options) {
  refuse_overwriting("export", options.out);
  const Checkpoint files = open_model(options.model);
  const NamedType& type = find_type(options.type.empty() ? "bf16" : options.type);
  const bool adapter_alone = options.format == "peft" || options.format == "gguf-adapter";
  if (adapter_alone && options.adapter.empty()) {
    fail_input("export: --format " + options.format + " needs --adapter");
  }
  if (adapter_alone && !options.type.empty()) {
    fail_input("export: --type: not with --format " + options.format +
               ": the adapter is written in float32, as it was trained (leave --type out)");
  }
  if (options.format == "folder" && type.type == ElementType::kQ8_0) {
    fail_input("export: --type q8_0: a folder takes f32, f16 or bf16");
  }
  const TransformerConfig config = Transformer::read_config(files);
  std::optional<LoraAdapter> adapter;
  if (!options.adapter.empty()) adapter = LoraAdapter::load(options.adapter, config);
  const ExportSource source{files, config, adapter ? &*adapter : nullptr};

  const PartialPath partial(options.out);
  if (options.format == "folder") {
    export_folder(source, type.type, partial.path());
    if (options.verify) verify(files, source.trained, partial.path(), nullptr, type);
  } else if (options.format == "gguf") {
    export_gguf(source, type.type, partial.path());
    if (options.verify) verify(files, source.trained, partial.path(), nullptr, type);
  } else if (options.format == "peft") {
    adapter->save(partial.path(), options.model.empty() ? embedded_policy_model() : options.model);
    if (options.verify) {
      const LoraAdapter copy = LoraAdapter::load(partial.path(), config);
      verify(files, source.trained, files.path(), &copy, find_type("f32"));
    }
  } else {
    if (options.verify)
      fail_input("export: --verify: a GGUF adapter can only be read by llama.cpp");
    export_gguf_adapter(files, config, *adapter, partial.path());
  }
  partial.keep();
  std::printf("written        %s\n", options.out.c_str());
}

}  // namespace

void add_export_command(CLI::App& app) {
  auto* command =
      app.add_subcommand("export", "Write the trained policy in a format that others read");
  auto options = std::make_shared<ExportOptions>();
  add_model_argument(*command, options->model);
  command->add_option("--adapter", options->adapter,
                      "Folder of the trained adapter (RUN/adapter, or RUN/checkpoints/step-N)");
  command
      ->add_option("--format", options->format,
                   "folder: merged, for transformers; gguf: merged, for llama.cpp; peft, "
                   "gguf-adapter: the adapter alone")
      ->required()
      ->check(CLI::IsMember({"folder", "gguf", "peft", "gguf-adapter"}));
  command
      ->add_option("--type", options->type,
                   "Of the merged weights: f32, f16, bf16 (default); gguf: q8_0")
      ->check(CLI::IsMember({"f32", "f16", "bf16", "q8_0"}));
  command->add_option("--out", options->out, "The folder or file, which must not be there yet")
      ->required();
  command->add_flag("--verify", options->verify,
                    "Read the export again and hold its logits against the original's");
  command->callback([options] { run_export(*options); });
}

}  // namespace l2a
