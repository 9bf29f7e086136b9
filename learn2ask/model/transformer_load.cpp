// Making a Transformer: from a checkpoint, or random.

#include <cmath>
#include <set>

#include <torch/torch.h>

#include "base/error.h"
#include "base/utf8.h"
#include "model/config_reader.h"
#include "model/transformer.h"
#include "model/transformer_weights.h"

namespace l2a {
namespace {

constexpr const char* kHead = "lm_head.weight";
constexpr const char* kRotaryDivisors = "rope_freqs.weight";

at::Device open_device(const std::string& name) {
  try {
    const at::Device device(name);
    if (device.is_cpu() || (device.is_cuda() && torch::cuda::is_available())) return device;
  } catch (const c10::Error&) {
    fail_input("model: device '" + name + "': no such device (use cpu or cuda)");
  }
  fail(ErrorCode::kUnavailable, "model: device '" + name + "': not on this machine (use cpu)");
}

void check_shape(const Checkpoint& files, const std::string& name,
                 const std::vector<int64_t>& expected) {
  const std::vector<int64_t>& shape = files.stored(name).shape;
  if (shape == expected) return;
  fail_input(c10::str("model: ", files.path().string(), ": tensor '", name, "': shape ",
                      at::IntArrayRef(shape), ", expected ", at::IntArrayRef(expected)));
}

// Reads each tensor by its name, and knows in the end which were left.
class Loader {
 public:
  Loader(const Checkpoint& files, const TransformerConfig& config, at::Device device,
         at::ScalarType type)
      : files_(files),
        config_(config),
        device_(device),
        type_(type),
        left_(files.names().begin(), files.names().end()) {
    left_.erase(kRotaryDivisors);
  }

  Transformer::Weights load();

 private:
  at::Tensor read(const std::string& name, const std::vector<int64_t>& shape) {
    check_shape(files_, name, shape);
    auto values = at::empty(shape, at::kFloat);
    files_.read(name, {values.data_ptr<float>(), static_cast<size_t>(values.numel())});
    left_.erase(name);
    return values;
  }
  at::Tensor norm(const std::string& name, int64_t width) {
    auto weight = read(name + ".weight", {width});
    if (config_.norms_add_one) weight += 1;
    return weight.to(device_);
  }
  at::Tensor matrix(const std::string& name, int64_t out, int64_t in) {
    return read(name, {out, in}).to(device_, type_);
  }
  at::Tensor bias(const std::string& name, int64_t out) {
    return read(name, {out}).to(device_, type_);
  }
  LayerWeights layer(int64_t index);
  void refuse_left() const;

  const Checkpoint& files_;
  const TransformerConfig& config_;
  at::Device device_;
  at::ScalarType type_;
  std::set<std::string> left_;
};

LayerWeights Loader::layer(int64_t index) {
  const TransformerConfig& c = config_;
  const std::string layer = "model.layers." + std::to_string(index) + ".";
  const std::string attention = layer + "self_attn.", mlp = layer + "mlp.";
  const int64_t q = c.heads * c.head_dim, kv = c.kv_heads * c.head_dim;
  LayerWeights w;
  w.attention_norm_d = norm(layer + "input_layernorm", c.width);
  w.qkv_oi = at::cat({matrix(attention + "q_proj.weight", q, c.width),
                      matrix(attention + "k_proj.weight", kv, c.width),
                      matrix(attention + "v_proj.weight", kv, c.width)});
  if (c.qkv_bias) {
    w.qkv_bias_o = at::cat({bias(attention + "q_proj.bias", q), bias(attention + "k_proj.bias", kv),
                            bias(attention + "v_proj.bias", kv)});
  }
  if (c.qk_norm) {
    w.q_norm_h = norm(attention + "q_norm", c.head_dim);
    w.k_norm_h = norm(attention + "k_norm", c.head_dim);
  }
  w.output_oi = matrix(attention + "o_proj.weight", c.width, q);
  // Where what attention adds is normed, that norm has the name of the one before the MLP.
  if (c.post_norms) w.output_norm_d = norm(layer + "post_attention_layernorm", c.width);
  w.mlp_norm_d = norm(
      layer + (c.post_norms ? "pre_feedforward_layernorm" : "post_attention_layernorm"), c.width);
  w.gate_up_oi = at::cat({matrix(mlp + "gate_proj.weight", c.mlp_width, c.width),
                          matrix(mlp + "up_proj.weight", c.mlp_width, c.width)});
  w.down_oi = matrix(mlp + "down_proj.weight", c.width, c.mlp_width);
  if (c.post_norms) w.down_norm_d = norm(layer + "post_feedforward_layernorm", c.width);
  return w;
}

Transformer::Weights Loader::load() {
  Transformer::Weights weights;
  weights.embedding_vd = matrix("model.embed_tokens.weight", config_.vocabulary, config_.width);
  weights.norm_d = norm("model.norm", config_.width);
  weights.head_vd =
      config_.tied_head ? weights.embedding_vd : matrix(kHead, config_.vocabulary, config_.width);
  for (int64_t i = 0; i < config_.layers; ++i) weights.layers.push_back(layer(i));
  refuse_left();
  return weights;
}

// A tensor that nothing reads is a part that we would leave out without a word.
void Loader::refuse_left() const {
  for (const std::string& name : left_) {
    // Old checkpoints keep the frequencies; some keep a copy of the tied embedding.
    if (name.ends_with(".rotary_emb.inv_freq") || (config_.tied_head && name == kHead)) continue;
    fail(ErrorCode::kUnsupported, "model: " + files_.path().string() + ": tensor '" + shown(name) +
                                      "': of a part that we don't compute");
  }
}

}  // namespace

TransformerConfig Transformer::read_config(const Checkpoint& files) {
  const auto file = files.gguf() ? files.path() : files.path() / "config.json";
  TransformerConfig config = config_from_json(files.config(), "model: " + file.string() + ": ");
  if (files.has(kRotaryDivisors)) {
    check_shape(files, kRotaryDivisors, {config.head_dim / 2});
    config.rotary.divisors.resize(static_cast<size_t>(config.head_dim / 2));
    files.read(kRotaryDivisors, config.rotary.divisors);
  }
  return config;
}

Transformer Transformer::load(const Checkpoint& files, const ModelOptions& options) {
  const torch::NoGradGuard no_grad;
  Transformer model;
  model.config_ = read_config(files);
  model.options_ = options;
  Loader loader(files, model.config_, open_device(options.device), scalar_type(options.compute));
  model.weights_ = std::make_shared<const Weights>(loader.load());
  return model;
}

Transformer Transformer::random(const TransformerConfig& c, const ModelOptions& options,
                                uint64_t seed) {
  const torch::NoGradGuard no_grad;
  auto generator = at::make_generator<at::CPUGeneratorImpl>(seed);
  const at::Device device = open_device(options.device);
  const auto matrix = [&](int64_t out, int64_t in) {
    return at::randn({out, in}, generator, at::kFloat)
        .div_(std::sqrt(static_cast<double>(in)))
        .to(device, scalar_type(options.compute));
  };
  const auto norm = [&](int64_t width) {
    return at::rand({width}, generator, at::kFloat).add_(0.5).to(device);
  };
  const int64_t q = c.heads * c.head_dim, kv = c.kv_heads * c.head_dim;
  Weights weights;
  weights.embedding_vd = matrix(c.vocabulary, c.width);
  weights.norm_d = norm(c.width);
  weights.head_vd = c.tied_head ? weights.embedding_vd : matrix(c.vocabulary, c.width);
  for (int64_t i = 0; i < c.layers; ++i) {
    LayerWeights w;
    w.attention_norm_d = norm(c.width);
    w.qkv_oi = matrix(q + 2 * kv, c.width);
    w.output_oi = matrix(c.width, q);
    w.mlp_norm_d = norm(c.width);
    w.gate_up_oi = matrix(2 * c.mlp_width, c.width);
    w.down_oi = matrix(c.width, c.mlp_width);
    if (c.qkv_bias) w.qkv_bias_o = matrix(1, q + 2 * kv).squeeze(0);
    if (c.qk_norm) w.q_norm_h = norm(c.head_dim), w.k_norm_h = norm(c.head_dim);
    if (c.post_norms) w.output_norm_d = norm(c.width), w.down_norm_d = norm(c.width);
    weights.layers.push_back(std::move(w));
  }
  Transformer model;
  model.config_ = c;
  model.options_ = options;
  model.weights_ = std::make_shared<const Weights>(std::move(weights));
  return model;
}

}  // namespace l2a
