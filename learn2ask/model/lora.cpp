#include "model/lora.h"

#include <cmath>

#include <torch/torch.h>

#include "base/file.h"
#include "base/json.h"
#include "base/rng.h"
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
  const int64_t q = c.heads * c.head_dim, kv = c.kv_heads * c.head_dim;
  std::vector<LinearShape> shapes;
  for (int64_t i = 0; i < c.layers; ++i) {
    const std::string layer = "model.layers." + std::to_string(i) + ".";
    shapes.push_back({layer + "self_attn.q_proj", c.width, q});
    shapes.push_back({layer + "self_attn.k_proj", c.width, kv});
    shapes.push_back({layer + "self_attn.v_proj", c.width, kv});
    shapes.push_back({layer + "self_attn.o_proj", q, c.width});
    shapes.push_back({layer + "mlp.gate_proj", c.width, c.mlp_width});
    shapes.push_back({layer + "mlp.up_proj", c.width, c.mlp_width});
    shapes.push_back({layer + "mlp.down_proj", c.mlp_width, c.width});
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

LoraOptions read_options(const fs::path& file) {
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

LoraAdapter::LoraAdapter(LoraOptions options, std::vector<LoraPair> pairs)
    : options_(options), pairs_(std::move(pairs)) {
  for (LoraPair& pair : pairs_) {
    pair.a_ri.requires_grad_(true);
    pair.b_or.requires_grad_(true);
  }
}

LoraAdapter::LoraAdapter(const TransformerConfig& config, const LoraOptions& options, uint64_t seed)
    : LoraAdapter(options, [&] {
        std::vector<LoraPair> pairs;
        for (const LinearShape& shape : linear_shapes(config)) {
          pairs.push_back({shape.module,
                           random_a(options.rank, shape, Rng::stream(seed, shape.module)),
                           at::zeros({shape.out, options.rank}, at::kFloat)});
        }
        return pairs;
      }()) {}

LoraAdapter LoraAdapter::load(const fs::path& directory, const TransformerConfig& config) {
  const LoraOptions options = read_options(directory / kConfigFile);
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
  return LoraAdapter(options, std::move(pairs));
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

std::vector<at::Tensor> LoraAdapter::parameters() const {
  std::vector<at::Tensor> all;
  for (const LoraPair& pair : pairs_) {
    all.push_back(pair.a_ri);
    all.push_back(pair.b_or);
  }
  return all;
}

void LoraAdapter::copy_from(const LoraAdapter& other) {
  check(pairs_.size() == other.pairs_.size(), "adapter: copy of another model's adapter");
  const torch::NoGradGuard no_grad;
  for (size_t i = 0; i < pairs_.size(); ++i) {
    pairs_[i].a_ri.copy_(other.pairs_[i].a_ri);
    pairs_[i].b_or.copy_(other.pairs_[i].b_or);
  }
}

LoraAdapter LoraAdapter::clone() const {
  std::vector<LoraPair> copies;
  for (const LoraPair& pair : pairs_) {
    copies.push_back({pair.module, pair.a_ri.detach().clone(), pair.b_or.detach().clone()});
  }
  return LoraAdapter(options_, std::move(copies));
}

}  // namespace l2a
