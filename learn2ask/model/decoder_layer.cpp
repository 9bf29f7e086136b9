#include "model/decoder_layer.h"

#include <torch/autograd.h>
#include <torch/types.h>

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
  kept.attended = tree_attention(kept.attention, pass.attention, pass.config.attention_scale());
  return finish(x_nd, kept.attended.out_nkgh.flatten(1), w, lora, pass.config, kept);
}

// Of the trained: an adapter's or the weights' own, in float32; undefined for the frozen.
struct LayerGradients {
  LayerLora lora;
  LayerWeights weights;
};

// The mirror of forward(), from the last line up.
class Backward {
 public:
  Backward(const TreePass& pass, const LayerWeights& weights, const LayerLora& lora,
           const Kept& kept, bool trains_weights)
      : pass_(pass),
        c_(pass.config),
        w_(weights),
        lora_(lora),
        kept_(kept),
        trains_weights_(trains_weights) {}

  // Returns the gradient of x.
  at::Tensor run(const at::Tensor& grad_nd) {
    const auto grad_mlp = linear(norm_if_there(grad_nd, kept_.down_nd, &LayerWeights::down_norm_d),
                                 gated(kept_.gate_up_no, c_.activation), &LayerWeights::down,
                                 &LayerLora::down, kept_.down_nr);
    const auto grad_mlp_in = linear(gated_backward(grad_mlp, kept_.gate_up_no, c_.activation),
                                    rms_norm(kept_.middle_nd, w_.mlp_norm_d, c_.norm_epsilon),
                                    &LayerWeights::gate_up, &LayerLora::gate_up, kept_.gate_up_nr);
    const auto grad_middle = norm(grad_mlp_in, kept_.middle_nd, &LayerWeights::mlp_norm_d, grad_nd);
    const auto grad_out =
        linear(norm_if_there(grad_middle, kept_.output_nd, &LayerWeights::output_norm_d),
               kept_.attended.out_nkgh.flatten(1), &LayerWeights::output, &LayerLora::output,
               kept_.output_nr);
    const auto grad_attention =
        tree_attention_backward(grad_out.view(kept_.attended.out_nkgh.sizes()), kept_.attention,
                                kept_.attended, pass_.attention, c_.attention_scale());
    auto grad_qkv = split_and_rotate_backward(grad_attention, pass_.rotary);
    if (c_.qk_norm) grad_qkv = norm_heads(grad_qkv);
    if (trains_weights_ && c_.qkv_bias) {
      grads_.weights.qkv_bias_o = grad_qkv.to(at::kFloat).sum(0);
    }
    const auto grad_qkv_in =
        linear(grad_qkv, rms_norm(kept_.x_nd, w_.attention_norm_d, c_.norm_epsilon),
               &LayerWeights::qkv, &LayerLora::qkv, kept_.qkv_nr);
    return norm(grad_qkv_in, kept_.x_nd, &LayerWeights::attention_norm_d, grad_middle);
  }

  LayerGradients& gradients() { return grads_; }

 private:
  at::Tensor linear(const at::Tensor& grad_no, const at::Tensor& x_ni,
                    FrozenMatrix LayerWeights::* matrix, LinearLora LayerLora::* pair,
                    const at::Tensor& reduced_nr) {
    if (trains_weights_) {
      (grads_.weights.*matrix).w_oi = product(grad_no.t(), x_ni).to(at::kFloat);
      return product(grad_no, (w_.*matrix).w_oi);
    }
    const LinearLora& lora = lora_.*pair;
    const auto grad_nr = product(grad_no, lora.b_or);
    (grads_.lora.*pair).a_ri = product(grad_nr.t(), x_ni).to(at::kFloat);
    (grads_.lora.*pair).b_or = product(grad_no.t(), reduced_nr).to(at::kFloat);
    auto grad_ni = product(grad_no, (w_.*matrix).w_oi);
    add_product_(grad_ni, grad_nr, lora.a_ri);
    return grad_ni;
  }

  // `residual_nd` is added where it is defined.
  at::Tensor norm(const at::Tensor& grad_nd, const at::Tensor& x_nd,
                  at::Tensor LayerWeights::* weight, const at::Tensor& residual_nd = {}) {
    if (trains_weights_) {
      grads_.weights.*weight = rms_norm_weight_backward(grad_nd, x_nd, c_.norm_epsilon);
    }
    return rms_norm_backward(grad_nd, x_nd, w_.*weight, c_.norm_epsilon, residual_nd);
  }

  // Of residual_linear()'s linear layer's output, from that of its sum.
  at::Tensor norm_if_there(const at::Tensor& grad_nd, const at::Tensor& unnormed_nd,
                           at::Tensor LayerWeights::* weight) {
    return (w_.*weight).defined() ? norm(grad_nd, unnormed_nd, weight) : grad_nd;
  }

  at::Tensor norm_heads(const at::Tensor& grad_no) {
    const auto grads = split_qkv(grad_no, c_), parts = split_qkv(kept_.qkv_no, c_);
    const auto heads = [&](const at::Tensor& x) { return x.contiguous().view({-1, c_.head_dim}); };
    const auto part = [&](size_t i, at::Tensor LayerWeights::* weight) {
      return norm(heads(grads[i]), heads(parts[i]), weight).view_as(parts[i]);
    };
    return at::cat({part(0, &LayerWeights::q_norm_h), part(1, &LayerWeights::k_norm_h), grads[2]},
                   1);
  }

  const TreePass& pass_;
  const TransformerConfig& c_;
  const LayerWeights& w_;
  const LayerLora& lora_;
  const Kept& kept_;
  bool trains_weights_;
  LayerGradients grads_;
};

LinearLora cast(const LinearLora& lora, at::ScalarType type) {
  return {lora.a_ri.to(type), lora.b_or.to(type)};
}

std::vector<at::Tensor> tensors_of(const LayerLora& lora) {
  std::vector<at::Tensor> all;
  for (const LinearLora& l : {lora.qkv, lora.output, lora.gate_up, lora.down}) {
    all.push_back(l.a_ri);
    all.push_back(l.b_or);
  }
  return all;
}

LayerLora lora_of(at::TensorList t) {
  return {{t[0], t[1]}, {t[2], t[3]}, {t[4], t[5]}, {t[6], t[7]}};
}

std::vector<at::Tensor> defined_tensors_of(LayerWeights weights) {
  std::vector<at::Tensor> all;
  for (const at::Tensor* tensor : l2a::tensors_of(weights)) {
    if (tensor->defined()) all.push_back(*tensor);
  }
  return all;
}

// Carries what is no tensor from the forward to the backward pass.
struct Call : torch::CustomClassHolder {
  Call(std::shared_ptr<const TreePass> p, FrozenLayer w, bool trains)
      : pass(std::move(p)), weights(std::move(w)), trains_weights(trains) {}
  std::shared_ptr<const TreePass> pass;
  FrozenLayer weights;
  bool trains_weights;  // else an adapter
};

// `trained`: an adapter's matrices, or the weights' masters, in float32.
struct TrainedLayer : torch::autograd::Function<TrainedLayer> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x,
                            const c10::intrusive_ptr<Call>& call, at::TensorList trained) {
    LayerLora lora;
    if (!call->trains_weights) lora = cast(lora_of(trained), x.scalar_type());
    Kept kept;
    const auto y = l2a::forward(x, *call->pass, call->weights(), lora, kept);
    variable_list saved = call->pass->recompute_activations ? variable_list{x} : pack(kept);
    if (!call->trains_weights) {
      for (const at::Tensor& matrix : tensors_of(lora)) saved.push_back(matrix);
    }
    context->save_for_backward(saved);
    context->saved_data["call"] = at::IValue::make_capsule(call);
    return y;
  }

  static variable_list backward(AutogradContext* context, const variable_list& grads) {
    const auto capsule = context->saved_data["call"].toCapsule();
    const auto* call = static_cast<const Call*>(capsule.get());
    const variable_list v = context->get_saved_variables();
    LayerLora lora;
    if (!call->trains_weights) lora = lora_of(at::TensorList(v).slice(v.size() - 8));
    const TreePass& pass = *call->pass;
    const LayerWeights weights = call->weights();
    Kept kept;
    if (pass.recompute_activations) {
      l2a::forward(v[0], pass, weights, lora, kept);
    } else {
      kept = unpack(v);
    }
    Backward mirror(pass, weights, lora, kept, call->trains_weights);
    variable_list out = {mirror.run(grads[0].contiguous()), {}};
    const LayerGradients& g = mirror.gradients();
    const auto trained = call->trains_weights ? defined_tensors_of(g.weights) : tensors_of(g.lora);
    out.insert(out.end(), trained.begin(), trained.end());
    return out;
  }
};

}  // namespace

std::array<at::Tensor*, kLayerTensors> tensors_of(LayerWeights& w) {
  return {&w.attention_norm_d, &w.qkv.w_oi,    &w.qkv_bias_o,    &w.q_norm_h,
          &w.k_norm_h,         &w.output.w_oi, &w.output_norm_d, &w.mlp_norm_d,
          &w.gate_up.w_oi,     &w.down.w_oi,   &w.down_norm_d};
}

std::vector<LayerLora> fuse_adapter(const LoraAdapter& adapter, at::Device device) {
  std::vector<LayerLora> layers;
  const std::vector<LoraPair>& pairs = adapter.pairs();
  const auto fuse = [&](size_t first, size_t count) {
    std::vector<at::Tensor> a, b;
    for (size_t i = first; i < first + count; ++i) {
      a.push_back(pairs[i].a_ri.to(device));
      b.push_back(pairs[i].b_or.to(device));
    }
    return LinearLora{count == 1 ? a[0] : at::cat(a),
                      (count == 1 ? b[0] : at::block_diag(b)) * adapter.scale()};
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
                         const FrozenLayer& weights, const LayerLora* lora,
                         const LayerWeights* masters, AttentionInput* cache) {
  if ((lora || masters) && at::GradMode::is_enabled()) {
    const auto trained = masters ? defined_tensors_of(*masters) : tensors_of(*lora);
    return TrainedLayer::apply(x_nd, c10::make_intrusive<Call>(pass, weights, masters != nullptr),
                               at::TensorList(trained));
  }
  Kept kept;
  const auto y =
      forward(x_nd, *pass, weights(), lora ? cast(*lora, x_nd.scalar_type()) : LayerLora{}, kept);
  if (cache) *cache = kept.attention;
  return y;
}

}  // namespace l2a
