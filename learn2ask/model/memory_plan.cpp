#include "model/memory_plan.h"

#include <algorithm>
#include <numeric>

#include "model/fused_head.h"
#include "model/int8_matrix.h"
#include "model/panel.h"

namespace l2a {
namespace {

// Sizes are doubles: products of a hostile file's counts do not fit an integer.

// The linear layers of one decoder layer, those together that are one matrix here.
struct Linear {
  double in = 0;
  std::vector<double> out = {};

  double out_sum() const { return std::accumulate(out.begin(), out.end(), 0.0); }
  double matrices() const { return static_cast<double>(out.size()); }
};

struct Widths {
  double width, q, kv, mlp;
  double qkv() const { return q + 2 * kv; }
};

Widths widths_of(const TransformerConfig& c) {
  const auto head = static_cast<double>(c.head_dim);
  return {static_cast<double>(c.width), static_cast<double>(c.heads) * head,
          static_cast<double>(c.kv_heads) * head, static_cast<double>(c.mlp_width)};
}

std::vector<Linear> linear_layers(const TransformerConfig& c) {
  const Widths w = widths_of(c);
  return {{w.width, {w.q, w.kv, w.kv}},
          {w.q, {w.width}},
          {w.width, {w.mlp, w.mlp}},
          {w.mlp, {w.width}}};
}

template <class Count>
double sum_over(const std::vector<Linear>& linears, const Count& count) {
  double sum = 0;
  for (const Linear& linear : linears) sum += count(linear);
  return sum;
}

double matrix_parameters(const TransformerConfig& c) {
  return sum_over(linear_layers(c), [](const Linear& l) { return l.in * l.out_sum(); });
}

double embedding_parameters(const TransformerConfig& c) {
  return static_cast<double>(c.vocabulary) * static_cast<double>(c.width) * (c.tied_head ? 1 : 2);
}

TransformerConfig qwen2(int64_t layers, int64_t width, int64_t heads, int64_t kv_heads,
                        int64_t mlp_width, bool tied) {
  TransformerConfig c;
  c.layers = layers;
  c.width = width;
  c.heads = heads;
  c.kv_heads = kv_heads;
  c.head_dim = width / heads;
  c.mlp_width = mlp_width;
  c.vocabulary = tied ? 151936 : 152064;
  c.max_positions = 32768;
  c.tied_head = tied;
  c.qkv_bias = true;
  return c;
}

TransformerConfig smollm2(int64_t layers, int64_t width, int64_t heads, int64_t kv_heads,
                          int64_t mlp_width) {
  TransformerConfig c = qwen2(layers, width, heads, kv_heads, mlp_width, true);
  c.vocabulary = 49152;
  c.max_positions = 8192;
  c.qkv_bias = false;
  return c;
}

}  // namespace

double parameter_count(const TransformerConfig& c) {
  const Widths w = widths_of(c);
  const double norms =
      (c.post_norms ? 4 : 2) * w.width + (c.qk_norm ? 2 * static_cast<double>(c.head_dim) : 0);
  return embedding_parameters(c) + w.width +
         static_cast<double>(c.layers) *
             (matrix_parameters(c) + norms + (c.qkv_bias ? w.qkv() : 0));
}

std::vector<KnownShape> known_shapes() {
  return {{"SmolLM2-135M", smollm2(30, 576, 9, 3, 1536)},
          {"SmolLM2-360M", smollm2(32, 960, 15, 5, 2560)},
          {"Qwen2.5-0.5B", qwen2(24, 896, 14, 2, 4864, true)},
          {"Qwen2.5-1.5B", qwen2(28, 1536, 12, 2, 8960, true)},
          {"Qwen2.5-3B", qwen2(36, 2048, 16, 2, 11008, true)},
          {"Qwen2.5-7B", qwen2(28, 3584, 28, 4, 18944, false)},
          {"Qwen2.5-14B", qwen2(48, 5120, 40, 8, 13824, false)},
          {"Qwen2.5-32B", qwen2(64, 5120, 40, 8, 27648, false)},
          {"Qwen2.5-72B", qwen2(80, 8192, 64, 8, 29568, false)}};
}

MemoryPlan plan_memory(const TransformerConfig& c, const MemoryPlanOptions& options) {
  const Widths w = widths_of(c);
  const auto layers = static_cast<double>(c.layers);
  const double number = options.model.compute == ComputeType::kFloat32 ? 4 : 2;
  constexpr double kFloat = 4;
  const bool decodes_on_panels = at::Device(options.model.device).is_cpu();
  const double panel = number == 2 && has_bf16_products() ? 2 : kFloat;  // cpu_decode_attention.cpp
  MemoryPlan plan;
  plan.embedding = number * embedding_parameters(c);
  const double matrices = matrix_parameters(c);
  if (options.model.keep_quantized) {
    plan.layers = layers * matrices * options.file_bits / 8;
    plan.widened_layer = number * matrices;
  } else {
    plan.layers = layers * number * matrices;
  }
  if (options.model.int8_generation) {
    const double head = static_cast<double>(c.vocabulary) * w.width;
    plan.int8 = kInt8NumberBytes * (layers * matrices + head);
  }

  const auto rank = static_cast<double>(options.lora.rank);
  const auto linears = linear_layers(c);
  const double adapter = sum_over(
      linears, [&](const Linear& l) { return rank * (l.matrices() * l.in + l.out_sum()); });
  // One A below the other, each B in its block of a matrix for all.
  const double fused = sum_over(
      linears, [&](const Linear& l) { return rank * l.matrices() * (l.in + l.out_sum()); });
  if (options.full) {
    const double all = parameter_count(c);
    const double head = static_cast<double>(c.vocabulary) * w.width;
    const double cast = number < kFloat ? number : 0;  // of a weight in the compute type
    // The layer at work and the head in the compute type; where they are one, a gradient by the
    // embedding beside the one by the head.
    plan.trained = kFloat * all + cast * (matrices + head) + (c.tied_head ? kFloat * head : 0);
    plan.optimizer = 3 * kFloat * all;
    plan.copy = kFloat * all;
    plan.decoding = cast * (layers * matrices + head);
  } else {
    plan.trained = layers * (kFloat * adapter + (kFloat + number) * fused);
    plan.optimizer = layers * 3 * kFloat * adapter;
    plan.copy = layers * kFloat * adapter;
  }
  plan.head = 2 * number * static_cast<double>(kHeadChunkRows * c.vocabulary);

  // What Kept of decoder_layer.cpp holds: the input, what attention reads and writes and its
  // log-sums, the residual stream in between, gate and up, x A' of each linear layer.
  const double kept = w.width + (c.qk_norm ? w.qkv() : 0) + w.qkv() + w.q + w.width + 2 * w.mlp +
                      (c.post_norms ? 2 * w.width : 0) + (options.full ? 0 : 7 * rank);
  const double kept_by_layer = number * kept + kFloat * static_cast<double>(c.heads);
  const bool again = options.model.recompute_activations;
  plan.kept_token = layers * (again ? number * w.width : kept_by_layer);
  // Of the MLP's backward pass: gradients of gate and up, of what they make, and of its input and
  // output.
  plan.working_token = number * (3 * w.mlp + 3 * w.width) + (again ? kept_by_layer : 0);
  plan.cached_token = (number + (decodes_on_panels ? panel : 0)) * layers * 2 * w.kv;
  return plan;
}

double MemoryPlan::at_work(int64_t tokens) const {
  return std::max(head, static_cast<double>(tokens) * working_token);
}

double MemoryPlan::training(int64_t tokens) const {
  return weights() + trained + optimizer + static_cast<double>(tokens) * kept_token +
         at_work(tokens);
}

double MemoryPlan::rollout(int64_t cached_tokens) const {
  return weights() + trained + decoding + static_cast<double>(cached_tokens) * cached_token +
         at_work(cached_tokens);
}

}  // namespace l2a
