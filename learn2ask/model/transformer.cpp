#include "model/transformer.h"

#include <torch/autograd.h>
#include <torch/types.h>

#include "base/error.h"
#include "model/transformer_weights.h"

namespace l2a {
namespace {

// By layer: what those that see everything share, and those with a window.
std::vector<std::shared_ptr<const TreePass>> make_passes(const TransformerConfig& config,
                                                         const TokenTree& tree,
                                                         const ModelOptions& options,
                                                         at::Device device) {
  const std::vector<int64_t> positions = token_positions(tree);
  for (const int64_t position : positions) {
    check(position < config.max_positions, "transformer: row longer than the model's positions");
  }
  const bool flash = has_flash_attention(device, scalar_type(options.compute), config.head_dim);
  const auto make = [&](int64_t window, const RotaryConfig& rotary) {
    AttentionPlan plan;
    if (flash) {
      plan.flash = plan_flash_attention(tree, window, device);
    } else {
      plan.tasks = plan_attention(
          tree, {.window = window, .join_siblings = !options.batch_invariant}, device);
    }
    return std::make_shared<const TreePass>(
        TreePass{config, options.recompute_activations, std::move(plan),
                 rotary_table(positions, rotary, config.head_dim, device)});
  };
  std::shared_ptr<const TreePass> full, local;
  std::vector<std::shared_ptr<const TreePass>> passes;
  for (int64_t i = 0; i < config.layers; ++i) {
    const int64_t window = config.window_of(static_cast<size_t>(i));
    auto& pass = window > 0 ? local : full;
    if (!pass) pass = make(window, window > 0 ? config.local_rotary : config.rotary);
    passes.push_back(pass);
  }
  return passes;
}

at::Tensor head_weight(const PassWeights& frozen, const TrainedWeights* trained) {
  return trained ? trained->head_over(frozen.head.w_oi) : frozen.head.w_oi;
}

}  // namespace

at::ScalarType scalar_type(ComputeType type) {
  return type == ComputeType::kFloat32 ? at::kFloat : at::kBFloat16;
}

at::Tensor embed(const at::Tensor& embedding_vd, std::span<const int32_t> ids, double scale,
                 at::ScalarType type) {
  for (const int32_t id : ids) {
    check(id >= 0 && id < embedding_vd.size(0), "transformer: token id outside the vocabulary");
  }
  const auto index = at::tensor(at::ArrayRef<int32_t>(ids.data(), ids.size()), at::kInt);
  const auto rows = embedding_vd.index_select(0, index.to(embedding_vd.device())).to(type);
  // The factor is one of the compute type too, as in transformers.
  return scale == 1 ? rows : rows * at::scalar_tensor(scale, rows.options());
}

at::Tensor Transformer::hidden(const TokenTree& tree, const TrainedWeights* trained) const {
  const PassWeights w = pass_weights(weights_->scoring, trained);
  const auto passes = make_passes(config_, tree, options_, w.embedding_vd.device());
  at::Tensor x_nd =
      embed(w.embedding_vd, tree.ids, config_.embedding_scale, scalar_type(options_.compute));
  for (size_t i = 0; i < w.layers.size(); ++i) {
    x_nd = decoder_layer(x_nd, passes[i], w.layers[i], w.lora.empty() ? nullptr : &w.lora[i],
                         w.trained_layers.empty() ? nullptr : &w.trained_layers[i]);
  }
  return differentiable_rms_norm(x_nd, w.norm_d, config_.norm_epsilon);
}

HeadOutput Transformer::head(const at::Tensor& hidden_nd, const at::Tensor& target_n,
                             double temperature, const TrainedWeights* trained) const {
  return fused_head(hidden_nd, head_weight(weights_->scoring, trained),
                    target_n.to(hidden_nd.device()), temperature, weights_->scoring.head_math);
}

at::Tensor Transformer::logits(const at::Tensor& hidden_nd, const TrainedWeights* trained) const {
  const torch::NoGradGuard no_grad;
  const auto head_vd = head_weight(weights_->scoring, trained).to(hidden_nd.scalar_type());
  return head_logits(hidden_nd, {head_vd}, weights_->scoring.head_math).to(at::kFloat);
}

TreeCache Transformer::prefill(TokenTree tree, const TrainedWeights* trained) const {
  const torch::NoGradGuard no_grad;
  const PassWeights w = pass_weights(weights_->generating, trained);
  const auto passes = make_passes(config_, tree, options_, w.embedding_vd.device());
  TreeCache cache;
  at::Tensor x_nd =
      embed(w.embedding_vd, tree.ids, config_.embedding_scale, scalar_type(options_.compute));
  for (size_t i = 0; i < w.layers.size(); ++i) {
    AttentionInput kept;
    x_nd = decoder_layer(x_nd, passes[i], w.layers[i], w.lora.empty() ? nullptr : &w.lora[i],
                         nullptr, &kept);
    cache.keys.push_back(kept.k_knh);
    cache.values.push_back(kept.v_knh);
  }
  cache.hidden_nd = rms_norm(x_nd, w.norm_d, config_.norm_epsilon);
  cache.tree = std::move(tree);
  return cache;
}

}  // namespace l2a
