#include "model/layer_parts.h"

namespace l2a {

std::array<LayerPart, kLayerTensors> layer_parts(const TransformerConfig& c, int64_t index) {
  using enum PartKind;
  const std::string layer = "model.layers." + std::to_string(index) + ".";
  const std::string attention = layer + "self_attn.", mlp = layer + "mlp.";
  const int64_t q = c.heads * c.head_dim, kv = c.kv_heads * c.head_dim;
  const auto norm = [](bool present, const std::string& name, int64_t width) {
    return present ? LayerPart{kNorm, {{name + ".weight", width}}} : LayerPart{kNorm, {}};
  };
  const auto qkv = [&](const std::string& ending) -> std::vector<StoredRows> {
    return {{attention + "q_proj." + ending, q},
            {attention + "k_proj." + ending, kv},
            {attention + "v_proj." + ending, kv}};
  };
  // Where what attention adds is normed, that norm has the name of the one before the MLP.
  const std::string before_mlp =
      c.post_norms ? "pre_feedforward_layernorm" : "post_attention_layernorm";
  return {
      norm(true, layer + "input_layernorm", c.width),
      LayerPart{kMatrix, qkv("weight"), c.width},
      LayerPart{kBias, c.qkv_bias ? qkv("bias") : std::vector<StoredRows>()},
      norm(c.qk_norm, attention + "q_norm", c.head_dim),
      norm(c.qk_norm, attention + "k_norm", c.head_dim),
      LayerPart{kMatrix, {{attention + "o_proj.weight", c.width}}, q},
      norm(c.post_norms, layer + "post_attention_layernorm", c.width),
      norm(true, layer + before_mlp, c.width),
      LayerPart{kMatrix,
                {{mlp + "gate_proj.weight", c.mlp_width}, {mlp + "up_proj.weight", c.mlp_width}},
                c.width},
      LayerPart{kMatrix, {{mlp + "down_proj.weight", c.width}}, c.mlp_width},
      norm(c.post_norms, layer + "post_feedforward_layernorm", c.width)};
}

std::string name_of(const LayerPart& part) {
  std::string name;
  for (const StoredRows& rows : part.rows) name += (name.empty() ? "" : "+") + rows.name;
  return name;
}

}  // namespace l2a
