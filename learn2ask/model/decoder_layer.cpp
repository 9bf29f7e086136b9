#include "model/decoder_layer.h"

#include <torch/torch.h>

namespace l2a {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// What the forward pass leaves for the backward pass. Undefined where the architecture lacks a
// part.
struct Kept {
  at::Tensor x_nd;
  at::Tensor qkv_no;  // before the norms of its heads
  AttentionInput attention;
  AttentionOutput attended;
  at::Tensor output_nd;  // of the output projection, before its norm
  at::Tensor middle_nd;  // the residual stream between attention and MLP
  at::Tensor gate_up_no;
  at::Tensor down_nd;                                 // of the down projection, before its norm
  at::Tensor qkv_nr, output_nr, gate_up_nr, down_nr;  // x A' of each linear layer
};

Kept unpack(const variable_list& v) {
  return {v[0],  v[1], {v[2], v[3], v[4]}, {v[5], v[6]}, v[7], v[8], v[9], v[10], v[11], v[12],
          v[13], v[14]};
}

variable_list pack(const Kept& k) {
  return {k.x_nd,
          k.qkv_no,
          k.attention.q_kngh,
          k.attention.k_knh,
          k.attention.v_knh,
          k.attended.out_nkgh,
          k.attended.lse_kng,
          k.output_nd,
          k.middle_nd,
          k.gate_up_no,
          k.down_nd,
          k.qkv_nr,
          k.output_nr,
          k.gate_up_nr,
          k.down_nr};
}

// Rows [q | k | v] in their parts.
std::vector<at::Tensor> split_qkv(const at::Tensor& qkv_no, const TransformerConfig& c) {
  const int64_t q = c.heads * c.head_dim, kv = c.kv_heads * c.head_dim;
  return qkv_no.split_with_sizes({q, kv, kv}, 1);
}

// Norms of each head of queries and keys.
at::Tensor norm_heads(const at::Tensor& qkv_no, const LayerWeights& w, const TransformerConfig& c) {
  const auto parts = split_qkv(qkv_no, c);
  const auto norm = [&](const at::Tensor& x, const at::Tensor& weight_h) {
    return rms_norm(x.contiguous().view({-1, c.head_dim}), weight_h, c.norm_epsilon).view_as(x);
  };
  return at::cat({norm(parts[0], w.q_norm_h), norm(parts[1], w.k_norm_h), parts[2]}, 1);
}

at::Tensor norm_heads_backward(const at::Tensor& grad_no, const at::Tensor& qkv_no,
                               const LayerWeights& w, const TransformerConfig& c) {
  const auto grads = split_qkv(grad_no, c), parts = split_qkv(qkv_no, c);
  const auto heads = [&](const at::Tensor& x) { return x.contiguous().view({-1, c.head_dim}); };
  const auto norm = [&](size_t i, const at::Tensor& weight_h) {
    return rms_norm_backward(heads(grads[i]), heads(parts[i]), weight_h, c.norm_epsilon, {})
        .view_as(parts[i]);
  };
  return at::cat({norm(0, w.q_norm_h), norm(1, w.k_norm_h), grads[2]}, 1);
}

// y = x w' + (x a') b' [+ added]; `lora` may be undefined. `reduced` receives x a'.
at::Tensor lora_linear(const at::Tensor& x_ni, const FrozenMatrix& w, const LinearLora& lora,
                       const at::Tensor& added, Products products, at::Tensor& reduced_nr) {
  at::Tensor y = linear(x_ni, w, added, products);
  if (!lora.a_ri.defined()) return y;
  reduced_nr = linear(x_ni, lora.a_ri, {}, products);
  add_linear_(y, reduced_nr, lora.b_or, products);
  return y;
}

void attend_from(const at::Tensor& x_nd, const LayerWeights& w, const LayerLora& lora,
                 const RotaryTable& rotary, const TransformerConfig& c, Kept& kept) {
  const auto normed = rms_norm(x_nd, w.attention_norm_d, c.norm_epsilon);
  const auto qkv = lora_linear(normed, w.qkv, lora.qkv, w.qkv_bias_o, w.products, kept.qkv_nr);
  if (c.qk_norm) kept.qkv_no = qkv;
  kept.attention = split_and_rotate(c.qk_norm ? norm_heads(qkv, w, c) : qkv, rotary, c);
}

// The residual stream plus a linear layer, whose output is normed first where `norm_d` is defined.
at::Tensor residual_linear(const at::Tensor& residual_nd, const at::Tensor& x_ni,
                           const FrozenMatrix& w, const LinearLora& lora, Products products,
                           const at::Tensor& norm_d, double epsilon, at::Tensor& unnormed_nd,
                           at::Tensor& reduced_nr) {
  if (!norm_d.defined()) return lora_linear(x_ni, w, lora, residual_nd, products, reduced_nr);
  unnormed_nd = lora_linear(x_ni, w, lora, {}, products, reduced_nr);
  return residual_nd + rms_norm(unnormed_nd, norm_d, epsilon);
}

at::Tensor finish(const at::Tensor& x_nd, const at::Tensor& attended_no, const LayerWeights& w,
                  const LayerLora& lora, const TransformerConfig& c, Kept& kept) {
  const double epsilon = c.norm_epsilon;
  kept.middle_nd = residual_linear(x_nd, attended_no, w.output, lora.output, w.products,
                                   w.output_norm_d, epsilon, kept.output_nd, kept.output_nr);
  kept.gate_up_no = lora_linear(rms_norm(kept.middle_nd, w.mlp_norm_d, epsilon), w.gate_up,
                                lora.gate_up, {}, w.products, kept.gate_up_nr);
  return residual_linear(kept.middle_nd, gated(kept.gate_up_no, c.activation), w.down, lora.down,
                         w.products, w.down_norm_d, epsilon, kept.down_nd, kept.down_nr);
}

at::Tensor forward(const at::Tensor& x_nd, const TreePass& pass, const LayerWeights& w,
                   const LayerLora& lora, Kept& kept) {
  kept.x_nd = x_nd;
  attend_from(x_nd, w, lora, pass.rotary, pass.config, kept);
  kept.attended = tree_attention(kept.attention, pass.tasks, pass.config.attention_scale());
  return finish(x_nd, kept.attended.out_nkgh.flatten(1), w, lora, pass.config, kept);
}

// Gradients of a and b in float32; returns that of x.
at::Tensor lora_linear_backward(const at::Tensor& grad_no, const at::Tensor& x_ni,
                                const at::Tensor& w_oi, const LinearLora& lora,
                                const at::Tensor& reduced_nr, LinearLora& grad_lora) {
  const auto grad_nr = at::mm(grad_no, lora.b_or);
  grad_lora.a_ri = at::mm(grad_nr.t(), x_ni).to(at::kFloat);
  grad_lora.b_or = at::mm(grad_no.t(), reduced_nr).to(at::kFloat);
  return at::mm(grad_no, w_oi).addmm_(grad_nr, lora.a_ri);
}

// Of residual_linear()'s linear layer's output, from that of its sum.
at::Tensor norm_grad(const at::Tensor& grad_nd, const at::Tensor& unnormed_nd,
                     const at::Tensor& norm_d, double epsilon) {
  return norm_d.defined() ? rms_norm_backward(grad_nd, unnormed_nd, norm_d, epsilon, {}) : grad_nd;
}

// The mirror of forward(), from the last line up.
at::Tensor backward(const at::Tensor& grad_nd, const TreePass& pass, const LayerWeights& w,
                    const LayerLora& lora, const Kept& kept, LayerLora& grad_lora) {
  const TransformerConfig& c = pass.config;
  const double epsilon = c.norm_epsilon;
  const auto grad_mlp = lora_linear_backward(
      norm_grad(grad_nd, kept.down_nd, w.down_norm_d, epsilon),
      gated(kept.gate_up_no, c.activation), w.down.w_oi, lora.down, kept.down_nr, grad_lora.down);
  const auto grad_mlp_in =
      lora_linear_backward(gated_backward(grad_mlp, kept.gate_up_no, c.activation),
                           rms_norm(kept.middle_nd, w.mlp_norm_d, epsilon), w.gate_up.w_oi,
                           lora.gate_up, kept.gate_up_nr, grad_lora.gate_up);
  const auto grad_middle =
      rms_norm_backward(grad_mlp_in, kept.middle_nd, w.mlp_norm_d, epsilon, grad_nd);
  const auto grad_out =
      lora_linear_backward(norm_grad(grad_middle, kept.output_nd, w.output_norm_d, epsilon),
                           kept.attended.out_nkgh.flatten(1), w.output.w_oi, lora.output,
                           kept.output_nr, grad_lora.output);
  const auto grad_attention =
      tree_attention_backward(grad_out.view(kept.attended.out_nkgh.sizes()), kept.attention,
                              kept.attended, pass.tasks, c.attention_scale());
  auto grad_qkv = split_and_rotate_backward(grad_attention, pass.rotary);
  if (c.qk_norm) grad_qkv = norm_heads_backward(grad_qkv, kept.qkv_no, w, c);
  const auto grad_qkv_in =
      lora_linear_backward(grad_qkv, rms_norm(kept.x_nd, w.attention_norm_d, epsilon), w.qkv.w_oi,
                           lora.qkv, kept.qkv_nr, grad_lora.qkv);
  return rms_norm_backward(grad_qkv_in, kept.x_nd, w.attention_norm_d, epsilon, grad_middle);
}

LinearLora cast(const LinearLora& lora, at::ScalarType type) {
  return {lora.a_ri.to(type), lora.b_or.to(type)};
}

// Carries what is no tensor from the forward to the backward pass.
struct Call : torch::CustomClassHolder {
  Call(std::shared_ptr<const TreePass> p, FrozenLayer w)
      : pass(std::move(p)), weights(std::move(w)) {}
  std::shared_ptr<const TreePass> pass;
  FrozenLayer weights;
};

struct AdaptedLayer : torch::autograd::Function<AdaptedLayer> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x,
                            const c10::intrusive_ptr<Call>& call, const at::Tensor& qkv_a,
                            const at::Tensor& qkv_b, const at::Tensor& output_a,
                            const at::Tensor& output_b, const at::Tensor& gate_up_a,
                            const at::Tensor& gate_up_b, const at::Tensor& down_a,
                            const at::Tensor& down_b) {
    const LayerLora lora = cast(
        LayerLora{{qkv_a, qkv_b}, {output_a, output_b}, {gate_up_a, gate_up_b}, {down_a, down_b}},
        x.scalar_type());
    Kept kept;
    const auto y = l2a::forward(x, *call->pass, call->weights(), lora, kept);
    variable_list saved = call->pass->recompute_activations ? variable_list{x} : pack(kept);
    for (const LinearLora& l : {lora.qkv, lora.output, lora.gate_up, lora.down}) {
      saved.push_back(l.a_ri);
      saved.push_back(l.b_or);
    }
    context->save_for_backward(saved);
    context->saved_data["call"] = at::IValue::make_capsule(call);
    return y;
  }

  static variable_list backward(AutogradContext* context, const variable_list& grads) {
    const auto capsule = context->saved_data["call"].toCapsule();
    const auto* call = static_cast<const Call*>(capsule.get());
    const variable_list v = context->get_saved_variables();
    const size_t first = v.size() - 8;  // of the adapter's matrices
    const auto linear = [&](size_t i) {
      return LinearLora{v[first + 2 * i], v[first + 2 * i + 1]};
    };
    const LayerLora lora{linear(0), linear(1), linear(2), linear(3)};
    const TreePass& pass = *call->pass;
    const LayerWeights weights = call->weights();
    Kept kept;
    if (pass.recompute_activations) {
      l2a::forward(v[0], pass, weights, lora, kept);
    } else {
      kept = unpack(v);
    }
    LayerLora g;
    const auto grad_x = l2a::backward(grads[0].contiguous(), pass, weights, lora, kept, g);
    return {grad_x,         {},
            g.qkv.a_ri,     g.qkv.b_or,
            g.output.a_ri,  g.output.b_or,
            g.gate_up.a_ri, g.gate_up.b_or,
            g.down.a_ri,    g.down.b_or};
  }
};

}  // namespace

std::vector<LayerLora> fuse_adapter(const LoraAdapter* adapter, at::Device device) {
  std::vector<LayerLora> layers;
  if (!adapter) return layers;
  const std::vector<LoraPair>& pairs = adapter->pairs();
  const auto fuse = [&](size_t first, size_t count) {
    std::vector<at::Tensor> a, b;
    for (size_t i = first; i < first + count; ++i) {
      a.push_back(pairs[i].a_ri.to(device));
      b.push_back(pairs[i].b_or.to(device));
    }
    return LinearLora{count == 1 ? a[0] : at::cat(a),
                      (count == 1 ? b[0] : at::block_diag(b)) * adapter->scale()};
  };
  for (size_t i = 0; i < pairs.size(); i += 7) {
    layers.push_back({fuse(i, 3), fuse(i + 3, 1), fuse(i + 4, 2), fuse(i + 6, 1)});
  }
  return layers;
}

LayerLora cast(const LayerLora& lora, at::ScalarType type) {
  return {cast(lora.qkv, type), cast(lora.output, type), cast(lora.gate_up, type),
          cast(lora.down, type)};
}

AttentionInput attention_input(const at::Tensor& x_nd, const LayerWeights& weights,
                               const LayerLora& lora, const RotaryTable& rotary,
                               const TransformerConfig& config) {
  Kept kept;
  attend_from(x_nd, weights, lora, rotary, config, kept);
  return kept.attention;
}

at::Tensor after_attention(const at::Tensor& x_nd, const at::Tensor& attended_no,
                           const LayerWeights& weights, const LayerLora& lora,
                           const TransformerConfig& config) {
  Kept kept;
  return finish(x_nd, attended_no, weights, lora, config, kept);
}

at::Tensor decoder_layer(const at::Tensor& x_nd, const std::shared_ptr<const TreePass>& pass,
                         const FrozenLayer& weights, const LayerLora* lora, AttentionInput* cache) {
  if (lora && at::GradMode::is_enabled()) {
    return AdaptedLayer::apply(x_nd, c10::make_intrusive<Call>(pass, weights), lora->qkv.a_ri,
                               lora->qkv.b_or, lora->output.a_ri, lora->output.b_or,
                               lora->gate_up.a_ri, lora->gate_up.b_or, lora->down.a_ri,
                               lora->down.b_or);
  }
  Kept kept;
  const auto y =
      forward(x_nd, *pass, weights(), lora ? cast(*lora, x_nd.scalar_type()) : LayerLora{}, kept);
  if (cache) *cache = kept.attention;
  return y;
}

}  // namespace l2a
