// Making a Transformer: from a checkpoint, or random.

#include <algorithm>
#include <cmath>
#include <set>
#include <span>

#include <ATen/Parallel.h>
#include <c10/core/impl/VirtualGuardImpl.h>
#include <torch/autograd.h>
#include <torch/types.h>

#include "base/error.h"
#include "base/utf8.h"
#include "model/config_reader.h"
#include "model/layer_parts.h"
#include "model/row_kernels.h"
#include "model/transformer.h"
#include "model/transformer_weights.h"

namespace l2a {
namespace {

constexpr const char* kRotaryDivisors = "rope_freqs.weight";

// MKL finds out in the first call of a vector function (exp, log, tanh, ...) what the processor can
// do; a second thread that calls one meanwhile may get numbers that are right to 5e-5 only (MKL
// 2024.2, in LibTorch 2.13; docs/log.md). So the first call is one thread's, before main().
[[maybe_unused]] const bool kMklIsSettled = at::tanh(at::ones(1)).defined();

// Devices that LibTorch was built for and finds; not "meta", whose tensors have no numbers.
bool is_here(const at::Device& device) {
  if (device.is_meta() || !c10::impl::hasDeviceGuardImpl(device.type())) return false;
  const c10::impl::VirtualGuardImpl devices(device.type());
  return std::max<int>(device.index(), 0) < devices.deviceCount();
}

// LibTorch adds in an order of its own on CUDA unless told otherwise, once for the whole process,
// before cuBLAS is first used.
// The same bits again, and products in the precision that they are asked for: sums of bfloat16
// products in float32, float32 without TF32.
void make_deterministic() {
  at::globalContext().setAllowBF16ReductionCuBLAS(false);
  at::globalContext().setAllowTF32CuBLAS(false);
  setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8", /*overwrite=*/0);
  at::globalContext().setDeterministicAlgorithms(true, /*warn_only=*/false);
  at::globalContext().setDeterministicFillUninitializedMemory(false);
}

at::Device open_device(const std::string& name) {
  try {
    const at::Device device(name);
    if (is_here(device)) {
      if (device.is_cuda()) make_deterministic();
      return device;
    }
  } catch (const c10::Error&) {
    fail_input("model: device '" + name + "': no such device (use cpu or cuda)");
  }
  fail(ErrorCode::kUnavailable, "model: device '" + name + "': not on this machine (use cpu)");
}

// Our own products run there alone.
void require_cpu(const ModelOptions& options, const char* setting) {
  if (options.device == "cpu") return;
  fail(ErrorCode::kUnsupported, "model: " + std::string(setting) + " where device is '" +
                                    options.device + "' (only where it is cpu)");
}

Products products_of(const ModelOptions& options) {
  if (options.int8_generation) require_cpu(options, "int8_generation");
  if (!options.batch_invariant) return Products::kFastest;
  require_cpu(options, "deterministic: batch_invariant");
  return Products::kBatchInvariant;
}

void check_shape(const Checkpoint& files, const std::string& name,
                 const std::vector<int64_t>& expected) {
  const std::vector<int64_t>& shape = files.stored(name).shape;
  if (shape == expected) return;
  fail_input(c10::str("model: ", files.path().string(), ": tensor '", name, "': shape ",
                      at::IntArrayRef(shape), ", expected ", at::IntArrayRef(expected)));
}

// What is read of which files, and what it becomes.
struct Source {
  Checkpoint files;
  TransformerConfig config;
  at::Device device;
  at::ScalarType type;
  Products products;
};

class Loader {
 public:
  // Where `left` is given, the names of the tensors that are read are taken from it.
  explicit Loader(const Source& source, std::set<std::string>* left = nullptr)
      : files_(source.files),
        config_(source.config),
        device_(source.device),
        type_(source.type),
        products_(source.products),
        left_(left) {}

  LayerWeights layer(int64_t index) const;
  at::Tensor norm(const StoredRows& weight) const;
  // Matrices that read the same input, one below the other, in the compute type.
  at::Tensor stacked(const std::vector<StoredRows>& matrices, int64_t in) const;

 private:
  at::Tensor read(const LayerPart& part) const;
  at::Tensor stacked_biases(const std::vector<StoredRows>& biases) const;
  void expect(const std::string& name, const std::vector<int64_t>& shape) const {
    check_shape(files_, name, shape);
    if (left_) left_->erase(name);
  }

  const Checkpoint& files_;
  const TransformerConfig& config_;
  at::Device device_;
  at::ScalarType type_;
  Products products_;
  std::set<std::string>* left_;
};

// `out` are rows of `columns` numbers each, of which each thread widens some that fit a cache.
template <class T>
void read_rows(const Checkpoint& files, const std::string& name, int64_t columns,
               std::span<T> out) {
  constexpr int64_t kValuesAtATime = 1 << 14;
  const int64_t at_a_time = std::max<int64_t>(1, kValuesAtATime / columns);
  const int64_t rows = static_cast<int64_t>(out.size()) / columns;
  at::parallel_for(0, rows, at_a_time, [&](int64_t begin, int64_t end) {
    std::vector<float> values(static_cast<size_t>(std::min(at_a_time, end - begin) * columns));
    for (int64_t row = begin; row < end; row += at_a_time) {
      const auto count = static_cast<size_t>(std::min(at_a_time, end - row) * columns);
      files.read_rows(name, row, std::span(values).first(count));
      scale_row(values.data(), 1, static_cast<int64_t>(count), out.data() + row * columns);
    }
  });
}

at::Tensor Loader::stacked(const std::vector<StoredRows>& matrices, int64_t in) const {
  int64_t rows = 0;
  for (const auto& [name, count] : matrices) {  // before anything is as large as they claim
    expect(name, {count, in});
    rows += count;
  }
  at::Tensor all = at::empty({rows, in}, type_);
  int64_t first = 0;
  for (const auto& [name, count] : matrices) {
    const auto size = static_cast<size_t>(count * in);
    if (type_ == at::kBFloat16) {
      read_rows(files_, name, in, std::span(all.data_ptr<at::BFloat16>() + first * in, size));
    } else {
      read_rows(files_, name, in, std::span(all.data_ptr<float>() + first * in, size));
    }
    first += count;
  }
  return all.to(device_);
}

at::Tensor Loader::stacked_biases(const std::vector<StoredRows>& biases) const {
  std::vector<at::Tensor> parts;
  for (const auto& [name, count] : biases) {
    expect(name, {count});
    parts.push_back(at::empty({count}, at::kFloat));
    files_.read(name, {parts.back().data_ptr<float>(), static_cast<size_t>(count)});
  }
  return at::cat(parts).to(device_, type_);
}

at::Tensor Loader::norm(const StoredRows& weight) const {
  expect(weight.name, {weight.count});
  at::Tensor values = at::empty({weight.count}, at::kFloat);
  files_.read(weight.name, {values.data_ptr<float>(), static_cast<size_t>(weight.count)});
  if (config_.norms_add_one) values += 1;
  return values.to(device_);
}

at::Tensor Loader::read(const LayerPart& part) const {
  switch (part.kind) {
    case PartKind::kNorm:
      return norm(part.rows.front());
    case PartKind::kBias:
      return stacked_biases(part.rows);
    case PartKind::kMatrix:
      return stacked(part.rows, part.columns);
  }
  fail(ErrorCode::kUnsupported, "model: a part of no known kind");
}

LayerWeights Loader::layer(int64_t index) const {
  LayerWeights w;
  w.products = products_;
  const auto parts = layer_parts(config_, index);
  const auto tensors = tensors_of(w);
  for (size_t i = 0; i < parts.size(); ++i) {
    if (!parts[i].rows.empty()) *tensors[i] = read(parts[i]);
  }
  return w;
}

// A tensor that nothing reads is a part that we would leave out without a word.
void refuse_left(const Checkpoint& files, bool tied_head, const std::set<std::string>& left) {
  for (const std::string& name : left) {
    // Read with the settings. Old checkpoints keep the frequencies; some keep a copy of the tied
    // embedding.
    if (name == kRotaryDivisors || name.ends_with(".rotary_emb.inv_freq") ||
        (tied_head && name == kHeadName)) {
      continue;
    }
    fail(ErrorCode::kUnsupported, "model: " + files.path().string() + ": tensor '" + shown(name) +
                                      "': of a part that we don't compute");
  }
}

FrozenLayer held(LayerWeights layer) {
  return [layer = std::move(layer)] { return layer; };
}

LayerWeights in_eight_bits(LayerWeights layer) {
  for (FrozenMatrix* matrix : {&layer.qkv, &layer.output, &layer.gate_up, &layer.down}) {
    *matrix = {{}, to_int8(matrix->w_oi)};
  }
  return layer;
}

// Adds a layer, once it is read: `again` gives it again.
void add_layer(const LayerWeights& layer, FrozenLayer again, const ModelOptions& options,
               Transformer::Weights& weights) {
  weights.generating.layers.push_back(options.int8_generation ? held(in_eight_bits(layer)) : again);
  weights.scoring.layers.push_back(std::move(again));
}

// Once all is there but the layers.
void set_generating(const ModelOptions& options, Transformer::Weights& weights) {
  weights.generating = weights.scoring;
  if (options.int8_generation) weights.generating.head = {{}, to_int8(weights.scoring.head.w_oi)};
}

// Reads every tensor once, whether it is kept or not: what is wrong with one is said here.
Transformer::Weights load_weights(const Source& source, const ModelOptions& options) {
  const TransformerConfig& c = source.config;
  std::set<std::string> left(source.files.names().begin(), source.files.names().end());
  const Loader loader(source, &left);
  Transformer::Weights weights;
  PassWeights& w = weights.scoring;
  w.embedding_vd = loader.stacked({{kEmbeddingName, c.vocabulary}}, c.width);
  w.norm_d = loader.norm({kLastNormName, c.width});
  w.head = {c.tied_head ? w.embedding_vd : loader.stacked({{kHeadName, c.vocabulary}}, c.width)};
  w.head_math = {c.logit_softcap, source.products};
  set_generating(options, weights);
  for (int64_t i = 0; i < c.layers; ++i) {
    const LayerWeights layer = loader.layer(i);
    FrozenLayer again = held(layer);
    if (options.keep_quantized) again = [source, i] { return Loader(source).layer(i); };
    add_layer(layer, std::move(again), options, weights);
  }
  refuse_left(source.files, c.tied_head, left);
  return weights;
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
  const Source source{files, model.config_, open_device(options.device),
                      scalar_type(options.compute), products_of(options)};
  model.weights_ = std::make_shared<const Weights>(load_weights(source, options));
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
  PassWeights& all = weights.scoring;
  all.head_math = {c.logit_softcap, products_of(options)};
  all.embedding_vd = matrix(c.vocabulary, c.width);
  all.norm_d = norm(c.width);
  all.head = {c.tied_head ? all.embedding_vd : matrix(c.vocabulary, c.width)};
  set_generating(options, weights);
  for (int64_t i = 0; i < c.layers; ++i) {
    LayerWeights w;
    w.products = products_of(options);
    w.attention_norm_d = norm(c.width);
    w.qkv.w_oi = matrix(q + 2 * kv, c.width);
    w.output.w_oi = matrix(c.width, q);
    w.mlp_norm_d = norm(c.width);
    w.gate_up.w_oi = matrix(2 * c.mlp_width, c.width);
    w.down.w_oi = matrix(c.width, c.mlp_width);
    if (c.qkv_bias) w.qkv_bias_o = matrix(1, q + 2 * kv).squeeze(0);
    if (c.qk_norm) w.q_norm_h = norm(c.head_dim), w.k_norm_h = norm(c.head_dim);
    if (c.post_norms) w.output_norm_d = norm(c.width), w.down_norm_d = norm(c.width);
    add_layer(w, held(w), options, weights);
  }
  Transformer model;
  model.config_ = c;
  model.options_ = options;
  model.weights_ = std::make_shared<const Weights>(std::move(weights));
  return model;
}

}  // namespace l2a
