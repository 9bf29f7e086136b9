#include "model/full_weights.h"

#include <cstring>

#include <torch/autograd.h>
#include <torch/types.h>

#include "base/error.h"
#include "base/file.h"
#include "model/layer_parts.h"
#include "model/pass_weights.h"
#include "model/safetensors_writer.h"
#include "model/transformer_weights.h"
#include "weights/safetensors.h"

namespace l2a {
namespace {

namespace fs = std::filesystem;

constexpr const char* kFile = "full_weights.safetensors";

LayerWeights cast_matrices(LayerWeights layer, at::ScalarType type) {
  for (FrozenMatrix* matrix : {&layer.qkv, &layer.output, &layer.gate_up, &layer.down}) {
    matrix->w_oi = matrix->w_oi.to(type);
  }
  if (layer.qkv_bias_o.defined()) layer.qkv_bias_o = layer.qkv_bias_o.to(type);
  return layer;
}

}  // namespace

FullWeights::FullWeights(TransformerConfig config, std::vector<TrainedParameter> parameters)
    : config_(std::move(config)), parameters_(std::move(parameters)) {
  for (TrainedParameter& parameter : parameters_) parameter.values.requires_grad_(true);
}

FullWeights::FullWeights(const Transformer& start)
    : FullWeights(start.config(), [&] {
        check(start.options().compute == ComputeType::kFloat32, "full weights: float32 masters");
        std::vector<TrainedParameter> all;
        const auto add = [&](const std::string& name, const at::Tensor& values) {
          all.push_back({name, values.detach().clone()});
        };
        const PassWeights& from = start.weights_->scoring;
        add(kEmbeddingName, from.embedding_vd);
        for (size_t i = 0; i < from.layers.size(); ++i) {
          LayerWeights layer = from.layers[i]();
          const auto tensors = tensors_of(layer);
          const auto parts = layer_parts(start.config(), static_cast<int64_t>(i));
          for (size_t j = 0; j < tensors.size(); ++j) {
            if (tensors[j]->defined()) add(name_of(parts[j]), *tensors[j]);
          }
        }
        add(kLastNormName, from.norm_d);
        if (!start.config().tied_head) add(kHeadName, from.head.w_oi);
        return all;
      }()) {}

std::unique_ptr<TrainedWeights> FullWeights::clone() const {
  std::vector<TrainedParameter> copies;
  for (const TrainedParameter& parameter : parameters_) {
    copies.push_back({parameter.name, parameter.values.detach().clone()});
  }
  return std::unique_ptr<FullWeights>(new FullWeights(config_, std::move(copies)));
}

void FullWeights::save(const fs::path& directory, const std::string&) const {
  make_private_directory(directory);
  SafetensorsWriter writer;
  for (const TrainedParameter& parameter : parameters_) {
    writer.add(parameter.name, parameter.values);
  }
  writer.write(directory / kFile);
}

void FullWeights::restore(const fs::path& directory) {
  const fs::path path = directory / kFile;
  const SafetensorsFile file = SafetensorsFile::open(path);
  const torch::NoGradGuard no_grad;
  for (const TrainedParameter& parameter : parameters_) {
    const StoredTensor* stored = file.find(parameter.name);
    if (!stored || stored->type != ElementType::kF32 ||
        stored->shape != parameter.values.sizes().vec()) {
      fail_input("weights: " + path.string() + ": " + parameter.name +
                 ": missing, or not of this model's shape");
    }
    at::Tensor values = at::empty(parameter.values.sizes(), at::kFloat);
    std::memcpy(values.data_ptr(), stored->data.data(), stored->data.size());
    parameter.values.copy_(values);
  }
}

bool FullWeights::changes(const std::string& name) const {
  return name != kHeadName || !config_.tied_head;
}

at::Tensor FullWeights::merged(const std::string& name, at::Tensor stored) const {
  const torch::NoGradGuard no_grad;
  size_t next = 0;
  const auto take = [&] { return parameters_.at(next++).values.detach(); };
  const auto norm = [&](const at::Tensor& x) { return config_.norms_add_one ? x - 1 : x; };
  const at::Tensor embedding = take();
  if (name == kEmbeddingName) return embedding.cpu();
  for (int64_t i = 0; i < config_.layers; ++i) {
    for (const LayerPart& part : layer_parts(config_, i)) {
      if (part.rows.empty()) continue;
      const at::Tensor values = take();
      int64_t first = 0;
      for (const auto& [stored_name, count] : part.rows) {
        if (stored_name == name) {
          const auto rows = values.slice(0, first, first + count).contiguous().cpu();
          return part.kind == PartKind::kNorm ? norm(rows) : rows;
        }
        first += count;
      }
    }
  }
  if (name == kLastNormName) return norm(take().cpu());
  if (name == kHeadName && !config_.tied_head) return head().detach().cpu();
  return stored;
}

PassWeights FullWeights::over(const PassWeights& frozen) const {
  const at::ScalarType type = frozen.embedding_vd.scalar_type();
  size_t next = 0;
  const auto take = [&] { return parameters_.at(next++).values; };
  PassWeights own;
  own.head_math = frozen.head_math;
  own.embedding_vd = take();
  for (int64_t i = 0; i < config_.layers; ++i) {
    LayerWeights layer;
    layer.products = frozen.head_math.products;
    const auto parts = layer_parts(config_, i);
    const auto tensors = tensors_of(layer);
    for (size_t j = 0; j < parts.size(); ++j) {
      if (!parts[j].rows.empty()) *tensors[j] = take();
    }
    own.trained_layers.push_back(layer);
    own.layers.push_back([layer, type] { return cast_matrices(layer, type); });
  }
  own.norm_d = take();
  own.head = {head()};
  return own;
}

}  // namespace l2a
