// One decoder layer: its weights, its forward pass, and its backward pass written by hand, so
// that what is kept in between is chosen and not whatever autograd would keep.
// Private to this module.
//
// Shape suffixes: n tokens, d width, o output and i input of a linear layer, r rank.
#pragma once

#include <array>
#include <functional>
#include <memory>
#include <vector>

#include <ATen/core/Tensor.h>

#include "model/linear.h"
#include "model/lora.h"
#include "model/ops.h"
#include "model/tree_attention.h"

namespace l2a {

// Norms are float32, the rest of the compute type. Layers that read the same input are one
// matrix: [q | k | v] and [gate | up]. Undefined where the architecture lacks a part.
struct LayerWeights {
  at::Tensor attention_norm_d, qkv_bias_o, q_norm_h, k_norm_h, output_norm_d;
  at::Tensor mlp_norm_d, down_norm_d;
  FrozenMatrix qkv, output, gate_up, down;
  Products products = Products::kFastest;  // of forward passes
};
constexpr size_t kLayerTensors = 11;
// All of them, defined or not, in the order in which a layer runs through them.
std::array<at::Tensor*, kLayerTensors> tensors_of(LayerWeights& weights);

// Gives a layer's weights when they are needed: those that are held, or ones widened from the file
// or cast from float32 anew. Thread-safe. May throw Failure.
using FrozenLayer = std::function<LayerWeights()>;

// The adapter of one fused linear layer: A's stacked, B's on the diagonal, alpha / r inside B.
struct LinearLora {
  at::Tensor a_ri, b_or;
};
struct LayerLora {
  LinearLora qkv, output, gate_up, down;
};
// Differentiable when autograd is on; float32, on `device`.
std::vector<LayerLora> fuse_adapter(const LoraAdapter& adapter, at::Device device);

LayerLora cast(const LayerLora& lora, at::ScalarType type);

// The two halves of a layer around attention, without autograd.
AttentionInput attention_input(const at::Tensor& x_nd, const LayerWeights& weights,
                               const LayerLora& lora, const RotaryTable& rotary,
                               const TransformerConfig& config);
at::Tensor after_attention(const at::Tensor& x_nd, const at::Tensor& attended_no,
                           const LayerWeights& weights, const LayerLora& lora,
                           const TransformerConfig& config);

// What the layers of one pass that see alike share: all, or those with a window.
struct TreePass {
  TransformerConfig config;
  bool recompute_activations = false;  // ModelOptions'
  AttentionPlan attention;
  RotaryTable rotary;
};

// One layer on packed tokens. Differentiable with respect to x and to what is trained, either
// `lora` or `masters`, the float32 behind `weights`, when autograd is on and one of them is there.
// If `cache` is given it receives the rotated keys and values.
at::Tensor decoder_layer(const at::Tensor& x_nd, const std::shared_ptr<const TreePass>& pass,
                         const FrozenLayer& weights, const LayerLora* lora,
                         const LayerWeights* masters, AttentionInput* cache = nullptr);

}  // namespace l2a
