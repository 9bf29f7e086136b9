#include "model/lora.h"

#include <cmath>
#include <string_view>

#include <torch/autograd.h>
#include <torch/types.h>

#include "base/file.h"
#include "base/json.h"
#include "base/rng.h"
#include "model/layer_parts.h"
#include "model/pass_weights.h"
#include "model/safetensors_writer.h"
#include "weights/safetensors.h"

namespace l2a {
namespace {

namespace fs = std::filesystem;

constexpr const char* kConfigFile = "adapter_config.json";
constexpr const char* kWeightsFile = "adapter_model.safetensors";
constexpr const char* kPrefix = "base_model.model.";

struct LinearShape {
  std::string module;
  int64_t in = 0, out = 0;
};

// Every linear layer that is adapted, in the order of LoraAdapter::pairs().
std::vector<LinearShape> linear_shapes(const TransformerConfig& c) {
  constexpr size_t kEnding = std::string_view(".weight").size();
  std::vector<LinearShape> shapes;
  for (int64_t i = 0; i < c.layers; ++i) {
    for (const LayerPart& part : layer_parts(c, i)) {
      if (part.kind != PartKind::kMatrix) continue;
      for (const auto& [name, rows] : part.rows) {
        shapes.push_back({name.substr(0, name.size() - kEnding), part.columns, rows});
      }
    }
  }
  return shapes;
}

// Uniform in +-1/sqrt(in): torch's kaiming_uniform_ with a = sqrt 5, which PEFT uses.
at::Tensor random_a(int64_t rank, const LinearShape& shape, Rng rng) {
  const double bound = 1 / std::sqrt(static_cast<double>(shape.in));
  at::Tensor a_ri = at::empty({rank, shape.in}, at::kFloat);
  float* values = a_ri.data_ptr<float>();
  for (int64_t i = 0; i < a_ri.numel(); ++i) {
    values[i] = static_cast<float>((2 * rng.uniform() - 1) * bound);
  }
  return a_ri;
}

Json config_json(const LoraOptions& options, const std::string& base_name) {
  return {{"base_model_name_or_path", base_name},
          {"bias", "none"},
          {"fan_in_fan_out", false},
          {"inference_mode", true},
          {"init_lora_weights", true},
          {"lora_alpha", options.alpha},
          {"lora_dropout", 0.0},
          {"modules_to_save", nullptr},
          {"peft_type", "LORA"},
          {"r", options.rank},
          {"target_modules",
           {"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"}},
          {"task_type", "CAUSAL_LM"},
          {"use_dora", false},
          {"use_rslora", false}};
}

at::Tensor read_matrix(const SafetensorsFile& file, const fs::path& path, const std::string& name,
                       int64_t rows, int64_t columns) {
  const auto refuse = [&](const std::string& why) {
    fail_input("adapter: " + path.string() + ": " + name + ": " + why);
  };
  const StoredTensor* tensor = file.find(name);
  if (!tensor) refuse("missing");
  if (tensor->shape != std::vector<int64_t>{rows, columns}) {
    refuse("expected [" + std::to_string(rows) + ", " + std::to_string(columns) +
           "]: the adapter is not one of this model");
  }
  if (tensor->type == ElementType::kI64) refuse("expected floating point numbers, got I64");
  at::Tensor values = at::empty({rows, columns}, at::kFloat);
  dequantize(*tensor, {values.data_ptr<float>(), static_cast<size_t>(values.numel())});
  if (!at::isfinite(values).all().item<bool>()) refuse("not finite");
  return values;
}

}  // namespace

LoraOptions read_lora_options(const fs::path& directory) {
  const fs::path file = directory / kConfigFile;
  const auto refuse = [&](const std::string& why) {
    fail(ErrorCode::kUnsupported, "adapter: " + file.string() + ": " + why);
  };
  const auto value_of = [&](auto&& result) {
    if (!result) fail_input("adapter: " + file.string() + ": " + result.error().message);
    return std::move(*result);
  };
  const Json json = value_of(parse_json(read_file(file, 1 << 20)));
  const std::string type = value_of(get_string(json, "peft_type"));
  if (type != "LORA") refuse("peft_type '" + type + "': only LORA is read");
  for (const char* variant : {"use_dora", "use_rslora"}) {
    if (value_of(get_bool_or(json, variant, false))) {
      refuse(std::string(variant) + ": only plain LoRA is read");
    }
  }
  for (const char* pattern : {"rank_pattern", "alpha_pattern"}) {
    if (json.contains(pattern) && !json[pattern].empty()) {
      refuse(std::string(pattern) + ": only one rank and alpha is read");
    }
  }
  const double rank = value_of(get_number(json, "r"));
  const double alpha = value_of(get_number(json, "lora_alpha"));
  if (!(rank >= 1 && rank <= 512) || rank != std::floor(rank)) {
    fail_input("adapter: " + file.string() + ": r: expected a whole number from 1 to 512");
  }
  if (!(alpha > 0 && std::isfinite(alpha))) {
    fail_input("adapter: " + file.string() + ": lora_alpha: expected a positive number");
  }
  return {static_cast<int64_t>(rank), alpha};
}

LoraAdapter::LoraAdapter(TransformerConfig config, LoraOptions options, std::vector<LoraPair> pairs)
    : config_(std::move(config)), options_(options), pairs_(std::move(pairs)) {
  for (LoraPair& pair : pairs_) {
    pair.a_ri.requires_grad_(true);
    pair.b_or.requires_grad_(true);
  }
}

LoraAdapter::LoraAdapter(const TransformerConfig& config, const LoraOptions& options, uint64_t seed)
    : LoraAdapter(config, options, [&] {
        std::vector<LoraPair> pairs;
        for (const LinearShape& shape : linear_shapes(config)) {
          pairs.push_back({shape.module,
                           random_a(options.rank, shape, Rng::stream(seed, shape.module)),
                           at::zeros({shape.out, options.rank}, at::kFloat)});
        }
        return pairs;
      }()) {}

LoraAdapter LoraAdapter::load(const fs::path& directory, const TransformerConfig& config) {
  const LoraOptions options = read_lora_options(directory);
  const fs::path path = directory / kWeightsFile;
  const SafetensorsFile file = SafetensorsFile::open(path);
  std::vector<LoraPair> pairs;
  for (const LinearShape& shape : linear_shapes(config)) {
    const std::string name = kPrefix + shape.module;
    pairs.push_back({shape.module,
                     read_matrix(file, path, name + ".lora_A.weight", options.rank, shape.in),
                     read_matrix(file, path, name + ".lora_B.weight", shape.out, options.rank)});
  }
  if (file.tensors().size() != 2 * pairs.size()) {
    fail_input("adapter: " + path.string() + ": holds " + std::to_string(file.tensors().size()) +
               " tensors, this model's adapter has " + std::to_string(2 * pairs.size()));
  }
  return LoraAdapter(config, options, std::move(pairs));
}

void LoraAdapter::save(const fs::path& directory, const std::string& base_name) const {
  make_private_directory(directory);
  SafetensorsWriter writer;
  for (const LoraPair& pair : pairs_) {
    writer.add(kPrefix + pair.module + ".lora_A.weight", pair.a_ri);
    writer.add(kPrefix + pair.module + ".lora_B.weight", pair.b_or);
  }
  writer.write(directory / kWeightsFile, {{"format", "pt"}});
  write_file_atomic(directory / kConfigFile, config_json(options_, base_name).dump(2) + "\n");
}

void LoraAdapter::restore(const fs::path& directory) {
  const LoraAdapter loaded = load(directory, config_);
  if (loaded.options().rank != options_.rank) {
    fail_input("adapter: " + directory.string() + ": has rank " +
               std::to_string(loaded.options().rank) + ", expected " +
               std::to_string(options_.rank));
  }
  copy_from(loaded);
}

void LoraAdapter::move_to(at::Device device) {
  for (LoraPair& pair : pairs_) {
    for (at::Tensor* matrix : {&pair.a_ri, &pair.b_or}) {
      *matrix = matrix->detach().to(device).requires_grad_(true);
    }
  }
}

std::vector<TrainedParameter> LoraAdapter::named_parameters() const {
  std::vector<TrainedParameter> all;
  for (const LoraPair& pair : pairs_) {
    all.push_back({pair.module + ".lora_A", pair.a_ri});
    all.push_back({pair.module + ".lora_B", pair.b_or});
  }
  return all;
}

std::unique_ptr<TrainedWeights> LoraAdapter::clone() const {
  std::vector<LoraPair> copies;
  for (const LoraPair& pair : pairs_) {
    copies.push_back({pair.module, pair.a_ri.detach().clone(), pair.b_or.detach().clone()});
  }
  return std::unique_ptr<LoraAdapter>(new LoraAdapter(config_, options_, std::move(copies)));
}

const LoraPair* LoraAdapter::pair_of(const std::string& tensor) const {
  for (const LoraPair& pair : pairs_) {
    if (pair.module + ".weight" == tensor) return &pair;
  }
  return nullptr;
}

at::Tensor LoraAdapter::merged(const std::string& name, at::Tensor stored) const {
  const torch::NoGradGuard no_grad;
  const LoraPair* const pair = pair_of(name);
  if (!pair) return stored;
  const auto device = stored.device();
  return stored.addmm_(pair->b_or.to(device), pair->a_ri.to(device), 1, scale());
}

PassWeights LoraAdapter::over(const PassWeights& frozen) const {
  PassWeights adapted = frozen;
  adapted.lora = fuse_adapter(*this, frozen.embedding_vd.device());
  return adapted;
}

}  // namespace l2a
