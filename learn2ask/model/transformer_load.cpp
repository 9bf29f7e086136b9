// Making a Transformer: from a GGUF file, or random.

#include <cmath>

#include <torch/torch.h>

#include "base/error.h"
#include "model/transformer.h"
#include "model/transformer_weights.h"

namespace l2a {
namespace {

at::Device open_device(const std::string& name) {
  try {
    const at::Device device(name);
    if (device.is_cpu() || (device.is_cuda() && torch::cuda::is_available())) return device;
  } catch (const c10::Error&) {
    fail_input("model: device '" + name + "': no such device (use cpu or cuda)");
  }
  fail(ErrorCode::kUnavailable, "model: device '" + name + "': not on this machine (use cpu)");
}

TransformerConfig read_config(const GgufFile& file) {
  const std::string architecture = file.get_string("general.architecture");
  if (architecture != "llama") {
    fail(ErrorCode::kUnsupported,
         "model: architecture '" + architecture + "': only llama is supported");
  }
  const auto key = [&](const char* name) { return architecture + "." + name; };
  const auto count = [&](const char* name) {
    const int64_t value = file.get_int(key(name));
    if (value < 1 || value > (int64_t{1} << 24)) {
      fail_input("model: " + key(name) + ": " + std::to_string(value) + " is out of range");
    }
    return value;
  };
  TransformerConfig c;
  c.layers = count("block_count");
  c.width = count("embedding_length");
  c.heads = count("attention.head_count");
  c.kv_heads =
      file.find_int(key("attention.head_count_kv")) ? count("attention.head_count_kv") : c.heads;
  if (c.heads % c.kv_heads != 0) fail_input("model: kv heads do not divide the heads");
  if (file.find_int(key("attention.key_length"))) {
    c.head_dim = count("attention.key_length");
  } else {
    if (c.width % c.heads != 0) fail_input("model: heads do not divide the width");
    c.head_dim = c.width / c.heads;
  }
  if (c.head_dim % 2 != 0) fail_input("model: head dimension is odd");
  c.mlp_width = count("feed_forward_length");
  c.max_positions = count("context_length");
  c.norm_epsilon = file.get_float(key("attention.layer_norm_rms_epsilon"));
  if (file.metadata().contains(key("rope.freq_base"))) {
    c.rope_theta = file.get_float(key("rope.freq_base"));
  }
  for (const char* name : {"rope.scaling.type", "rope.scaling.factor"}) {
    if (file.metadata().contains(key(name))) {
      fail(ErrorCode::kUnsupported, "model: " + key(name) + ": scaled rotary is not supported");
    }
  }
  const GgufTensor* embedding = file.find("token_embd.weight");
  if (!embedding || embedding->shape.size() != 2) fail_input("model: token_embd.weight: missing");
  c.vocabulary = embedding->shape[0];
  c.tied_head = file.find("output.weight") == nullptr;
  return c;
}

class Loader {
 public:
  Loader(const GgufFile& file, const TransformerConfig& config, at::Device device,
         at::ScalarType type)
      : file_(file), config_(config), device_(device), type_(type) {}

  Transformer::Weights load();

 private:
  at::Tensor read(const std::string& name, at::IntArrayRef shape) const {
    const GgufTensor* tensor = file_.find(name);
    if (!tensor) fail_input("model: " + name + ": missing");
    if (at::IntArrayRef(tensor->shape) != shape) {
      fail_input(c10::str("model: ", name, ": shape ", at::IntArrayRef(tensor->shape),
                          ", expected ", shape));
    }
    auto values = at::empty(shape, at::kFloat);
    dequantize(*tensor, {values.data_ptr<float>(), static_cast<size_t>(values.numel())});
    if (!at::isfinite(values).all().item<bool>()) fail_input("model: " + name + ": not finite");
    return values;
  }
  at::Tensor norm(const std::string& name) const { return read(name, {config_.width}).to(device_); }
  at::Tensor matrix(const std::string& name, int64_t out, int64_t in) const {
    return read(name, {out, in}).to(device_, type_);
  }
  // The file's rows pair up neighbours for the rotation; Hugging Face's (and ours) pair up the
  // two halves of a head.
  at::Tensor rotated(const std::string& name, int64_t heads) const {
    const int64_t h = config_.head_dim;
    return read(name, {heads * h, config_.width})
        .view({heads, h / 2, 2, config_.width})
        .transpose(1, 2)
        .reshape({heads * h, config_.width})
        .to(device_, type_);
  }
  LayerWeights layer(int64_t index) const;

  const GgufFile& file_;
  const TransformerConfig& config_;
  at::Device device_;
  at::ScalarType type_;
};

LayerWeights Loader::layer(int64_t index) const {
  const TransformerConfig& c = config_;
  const std::string block = "blk." + std::to_string(index) + ".";
  const int64_t q = c.heads * c.head_dim, kv = c.kv_heads * c.head_dim;
  return {
      .attention_norm_d = norm(block + "attn_norm.weight"),
      .qkv_oi = at::cat({rotated(block + "attn_q.weight", c.heads),
                         rotated(block + "attn_k.weight", c.kv_heads),
                         matrix(block + "attn_v.weight", kv, c.width)}),
      .output_oi = matrix(block + "attn_output.weight", c.width, q),
      .mlp_norm_d = norm(block + "ffn_norm.weight"),
      .gate_up_oi = at::cat({matrix(block + "ffn_gate.weight", c.mlp_width, c.width),
                             matrix(block + "ffn_up.weight", c.mlp_width, c.width)}),
      .down_oi = matrix(block + "ffn_down.weight", c.width, c.mlp_width),
  };
}

Transformer::Weights Loader::load() {
  Transformer::Weights weights;
  weights.embedding_vd = matrix("token_embd.weight", config_.vocabulary, config_.width);
  weights.norm_d = norm("output_norm.weight");
  weights.head_vd = config_.tied_head ? weights.embedding_vd
                                      : matrix("output.weight", config_.vocabulary, config_.width);
  for (int64_t i = 0; i < config_.layers; ++i) weights.layers.push_back(layer(i));
  return weights;
}

}  // namespace

Transformer Transformer::load(const GgufFile& file, const ModelOptions& options) {
  const torch::NoGradGuard no_grad;
  Transformer model;
  model.config_ = read_config(file);
  model.options_ = options;
  Loader loader(file, model.config_, open_device(options.device), scalar_type(options.compute));
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
  const auto norm = [&] { return at::rand({c.width}, generator, at::kFloat).add_(0.5).to(device); };
  const int64_t q = c.heads * c.head_dim, kv = c.kv_heads * c.head_dim;
  Weights weights;
  weights.embedding_vd = matrix(c.vocabulary, c.width);
  weights.norm_d = norm();
  weights.head_vd = c.tied_head ? weights.embedding_vd : matrix(c.vocabulary, c.width);
  for (int64_t i = 0; i < c.layers; ++i) {
    weights.layers.push_back({norm(), matrix(q + 2 * kv, c.width), matrix(c.width, q), norm(),
                              matrix(2 * c.mlp_width, c.width), matrix(c.width, c.mlp_width)});
  }
  Transformer model;
  model.config_ = c;
  model.options_ = options;
  model.weights_ = std::make_shared<const Weights>(std::move(weights));
  return model;
}

}  // namespace l2a
