#include "model/transformer.h"

#include <torch/torch.h>

#include "base/error.h"
#include "model/fused_head.h"
#include "model/transformer_weights.h"

namespace l2a {
namespace {

at::Tensor embed(const at::Tensor& embedding_vd, const TokenTree& tree) {
  for (const int32_t id : tree.ids) {
    check(id >= 0 && id < embedding_vd.size(0), "transformer: token id outside the vocabulary");
  }
  const auto ids = at::tensor(tree.ids, at::kInt).to(embedding_vd.device());
  return embedding_vd.index_select(0, ids);
}

std::shared_ptr<const TreePass> make_pass(const TransformerConfig& config, const TokenTree& tree,
                                          at::Device device) {
  const std::vector<int64_t> positions = token_positions(tree);
  for (const int64_t position : positions) {
    check(position < config.max_positions, "transformer: row longer than the model's positions");
  }
  return std::make_shared<const TreePass>(TreePass{
      config, plan_attention(tree), rotary_table(at::tensor(positions).to(device), config)});
}

}  // namespace

at::ScalarType scalar_type(ComputeType type) {
  return type == ComputeType::kFloat32 ? at::kFloat : at::kBFloat16;
}

at::Tensor Transformer::hidden(const TokenTree& tree, const LoraAdapter* adapter) const {
  const at::Device device = weights_->embedding_vd.device();
  const std::vector<LayerLora> lora = fuse_adapter(adapter, device);
  const auto pass = make_pass(config_, tree, device);
  at::Tensor x_nd = embed(weights_->embedding_vd, tree);
  for (size_t i = 0; i < weights_->layers.size(); ++i) {
    x_nd = decoder_layer(x_nd, pass, weights_->layers[i], adapter ? &lora[i] : nullptr);
  }
  return differentiable_rms_norm(x_nd, weights_->norm_d, config_.norm_epsilon);
}

HeadOutput Transformer::head(const at::Tensor& hidden_nd, const at::Tensor& target_n,
                             double temperature) const {
  return fused_head(hidden_nd, weights_->head_vd, target_n.to(hidden_nd.device()), temperature);
}

at::Tensor Transformer::logits(const at::Tensor& hidden_nd) const {
  const torch::NoGradGuard no_grad;
  return at::mm(hidden_nd, weights_->head_vd.t()).to(at::kFloat);
}

TreeCache Transformer::prefill(TokenTree tree, const LoraAdapter* adapter) const {
  const torch::NoGradGuard no_grad;
  const at::Device device = weights_->embedding_vd.device();
  const std::vector<LayerLora> lora = fuse_adapter(adapter, device);
  const auto pass = make_pass(config_, tree, device);
  TreeCache cache;
  at::Tensor x_nd = embed(weights_->embedding_vd, tree);
  for (size_t i = 0; i < weights_->layers.size(); ++i) {
    AttentionInput kept;
    x_nd = decoder_layer(x_nd, pass, weights_->layers[i], adapter ? &lora[i] : nullptr, &kept);
    cache.keys.push_back(kept.k_knh);
    cache.values.push_back(kept.v_knh);
  }
  cache.hidden_nd = rms_norm(x_nd, weights_->norm_d, config_.norm_epsilon);
  cache.tree = std::move(tree);
  return cache;
}

}  // namespace l2a
