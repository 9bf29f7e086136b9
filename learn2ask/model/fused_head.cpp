#include "model/fused_head.h"

#include <torch/torch.h>

#include "base/error.h"

namespace l2a {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

constexpr int64_t kChunkRows = 256;

struct Statistics {
  at::Tensor log_prob_n, entropy_n, lse_n;  // lse: of logits / temperature
};

// logits / temperature of a chunk of rows, float32.
at::Tensor scaled_logits(const at::Tensor& hidden_cd, const at::Tensor& weight_vd,
                         double temperature) {
  return at::mm(hidden_cd, weight_vd.t()).to(at::kFloat).div_(temperature);
}

Statistics forward(const at::Tensor& hidden_nd, const at::Tensor& weight_vd,
                   const at::Tensor& target_n, double temperature) {
  const int64_t n = hidden_nd.size(0);
  const auto options = hidden_nd.options().dtype(at::kFloat);
  Statistics out{at::empty({n}, options), at::empty({n}, options), at::empty({n}, options)};
  for (int64_t begin = 0; begin < n; begin += kChunkRows) {
    const int64_t end = std::min(begin + kChunkRows, n);
    const auto z = scaled_logits(hidden_nd.slice(0, begin, end), weight_vd, temperature);
    const auto lse = at::logsumexp(z, 1);
    const auto target = target_n.slice(0, begin, end).unsqueeze(1);
    out.lse_n.slice(0, begin, end).copy_(lse);
    out.log_prob_n.slice(0, begin, end).copy_(z.gather(1, target).squeeze(1) - lse);
    out.entropy_n.slice(0, begin, end).copy_(lse - (z * (z - lse.unsqueeze(1)).exp()).sum(1));
  }
  return out;
}

// d log p(target) = onehot - p and d entropy = -p (log p + entropy), both by z.
at::Tensor backward(const at::Tensor& grad_log_prob_n, const at::Tensor& grad_entropy_n,
                    const at::Tensor& hidden_nd, const at::Tensor& weight_vd,
                    const at::Tensor& target_n, const Statistics& s, double temperature) {
  auto grad_nd = at::empty_like(hidden_nd);
  for (int64_t begin = 0; begin < hidden_nd.size(0); begin += kChunkRows) {
    const int64_t end = std::min(begin + kChunkRows, hidden_nd.size(0));
    const auto rows = [&](const at::Tensor& x_n) { return x_n.slice(0, begin, end).unsqueeze(1); };
    const auto z = scaled_logits(hidden_nd.slice(0, begin, end), weight_vd, temperature);
    const auto log_p = z - rows(s.lse_n);
    auto grad_z = log_p.exp().mul_(rows(grad_log_prob_n) +
                                   rows(grad_entropy_n) * (log_p + rows(s.entropy_n)));
    grad_z.neg_().scatter_add_(1, rows(target_n), rows(grad_log_prob_n)).div_(temperature);
    grad_nd.slice(0, begin, end).copy_(at::mm(grad_z.to(hidden_nd.scalar_type()), weight_vd));
  }
  return grad_nd;
}

struct FusedHead : torch::autograd::Function<FusedHead> {
  static variable_list forward(AutogradContext* context, const at::Tensor& hidden,
                               const at::Tensor& weight, const at::Tensor& target,
                               double temperature) {
    const Statistics s = l2a::forward(hidden, weight, target, temperature);
    context->save_for_backward({hidden, weight, target, s.lse_n, s.entropy_n});
    context->saved_data["temperature"] = temperature;
    return {s.log_prob_n, s.entropy_n};
  }

  static variable_list backward(AutogradContext* context, const variable_list& grads) {
    const variable_list v = context->get_saved_variables();
    const auto grad = l2a::backward(grads[0], grads[1], v[0], v[1], v[2], {{}, v[4], v[3]},
                                    context->saved_data["temperature"].toDouble());
    return {grad, {}, {}, {}};
  }
};

}  // namespace

HeadOutput fused_head(const at::Tensor& hidden_nd, const at::Tensor& weight_vd,
                      const at::Tensor& target_n, double temperature) {
  check(target_n.dim() == 1 && target_n.size(0) == hidden_nd.size(0), "head: one target a row");
  check(temperature > 0, "head: temperature must be positive");
  if (!at::GradMode::is_enabled() || !hidden_nd.requires_grad()) {
    const Statistics s = forward(hidden_nd, weight_vd, target_n, temperature);
    return {s.log_prob_n, s.entropy_n};
  }
  const variable_list out = FusedHead::apply(hidden_nd, weight_vd, target_n, temperature);
  return {out[0], out[1]};
}

}  // namespace l2a
