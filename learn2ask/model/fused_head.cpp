#include "model/fused_head.h"

#include <cmath>

#include <ATen/Parallel.h>
#include <torch/autograd.h>
#include <torch/types.h>

#include "base/error.h"
#include "model/row_kernels.h"
#include "model/unordered_writes.h"

namespace l2a {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// All [n], float32. lse and entropy are of logits / temperature.
struct Statistics {
  at::Tensor log_prob, entropy, lse;
};

// Targets and what is known of a chunk of rows [c].
struct Chunk {
  at::Tensor target;
  Statistics statistics;
};

Chunk slice(const at::Tensor& target_n, const Statistics& s, int64_t begin, int64_t end) {
  const auto part = [&](const at::Tensor& x) { return x.slice(0, begin, end); };
  return {part(target_n), {part(s.log_prob), part(s.entropy), part(s.lse)}};
}

void composed_statistics(const at::Tensor& logits_cv, double scale, Chunk& chunk) {
  const auto z = logits_cv.to(at::kFloat) * scale;
  const auto lse = at::logsumexp(z, 1);
  const auto target = chunk.target.unsqueeze(1);
  chunk.statistics.lse.copy_(lse);
  chunk.statistics.log_prob.copy_(z.gather(1, target).squeeze(1) - lse);
  chunk.statistics.entropy.copy_(lse - (z * (z - lse.unsqueeze(1)).exp()).sum(1));
}

template <class T>
void cpu_statistics(const at::Tensor& logits_cv, double scale, Chunk& chunk) {
  const int64_t vocabulary = logits_cv.size(1);
  const T* const logits = logits_cv.const_data_ptr<T>();
  const auto* const target = chunk.target.const_data_ptr<int64_t>();
  const auto factor = static_cast<float>(scale);
  at::parallel_for(0, logits_cv.size(0), 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const T* const row = logits + i * vocabulary;
      const LogitRow s = logit_statistics(row, factor, vocabulary);
      chunk.statistics.lse.data_ptr<float>()[i] = s.lse;
      chunk.statistics.entropy.data_ptr<float>()[i] = s.entropy;
      chunk.statistics.log_prob.data_ptr<float>()[i] = factor * widen(row[target[i]]) - s.lse;
    }
  });
}

// Turns logits into their gradient: d log p(target) = onehot - p and d entropy =
// -p (log p + entropy), both by logits / temperature.
at::Tensor composed_gradient(const at::Tensor& logits_cv, double scale, const Chunk& chunk,
                             const at::Tensor& by_log_prob_c, const at::Tensor& by_entropy_c) {
  const UnorderedWrites unordered;  // one place a row
  const auto column = [](const at::Tensor& x_c) { return x_c.unsqueeze(1); };
  const auto log_p = logits_cv.to(at::kFloat) * scale - column(chunk.statistics.lse);
  const auto by_z =
      column(by_log_prob_c) + column(by_entropy_c) * (log_p + column(chunk.statistics.entropy));
  return (log_p.exp() * by_z)
      .neg_()
      .scatter_add_(1, column(chunk.target), column(by_log_prob_c))
      .mul_(scale)
      .to(logits_cv.scalar_type());
}

template <class T>
at::Tensor cpu_gradient(const at::Tensor& logits_cv, double scale, const Chunk& chunk,
                        const at::Tensor& by_log_prob_c, const at::Tensor& by_entropy_c) {
  const int64_t vocabulary = logits_cv.size(1);
  const auto* const target = chunk.target.const_data_ptr<int64_t>();
  const auto* const by_log_prob = by_log_prob_c.const_data_ptr<float>();
  const auto* const by_entropy = by_entropy_c.const_data_ptr<float>();
  const auto factor = static_cast<float>(scale);
  at::parallel_for(0, logits_cv.size(0), 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      T* const row = logits_cv.data_ptr<T>() + i * vocabulary;
      const LogitRow s{chunk.statistics.lse.const_data_ptr<float>()[i],
                       chunk.statistics.entropy.const_data_ptr<float>()[i]};
      const float log_p = factor * widen(row[target[i]]) - s.lse;
      logit_gradient(row, factor, s, by_log_prob[i], by_entropy[i], vocabulary, row);
      const float by_z = by_log_prob[i] + by_entropy[i] * (log_p + s.entropy);
      narrow(factor * (by_log_prob[i] - std::exp(log_p) * by_z), row[target[i]]);
    }
  });
  return logits_cv;
}

// Of logits, which may be overwritten: their gradient.
at::Tensor logit_gradients(const at::Tensor& logits_cv, double scale, const Chunk& chunk,
                           const at::Tensor& by_log_prob_c, const at::Tensor& by_entropy_c,
                           double softcap) {
  const auto slope = softcap > 0 ? 1 - (logits_cv / softcap).square() : at::Tensor();
  const auto gradient = !logits_cv.is_cpu()                     ? composed_gradient
                        : logits_cv.scalar_type() == at::kFloat ? cpu_gradient<float>
                                                                : cpu_gradient<BFloat16>;
  const auto by_logits = gradient(logits_cv, scale, chunk, by_log_prob_c, by_entropy_c);
  return slope.defined() ? by_logits * slope : by_logits;
}

// `unit_nd`: where the gradient of each row's log p by its hidden state goes; none is wanted when
// it is undefined.
Statistics forward(const at::Tensor& hidden_nd, const at::Tensor& weight_vd,
                   const at::Tensor& target_n, double temperature, const HeadMath& math,
                   const at::Tensor& unit_nd) {
  const int64_t n = hidden_nd.size(0);
  const auto options = hidden_nd.options().dtype(at::kFloat);
  Statistics all{at::empty({n}, options), at::empty({n}, options), at::empty({n}, options)};
  for (int64_t begin = 0; begin < n; begin += kHeadChunkRows) {
    const int64_t end = std::min(begin + kHeadChunkRows, n);
    Chunk chunk = slice(target_n, all, begin, end);
    const auto logits = head_logits(hidden_nd.slice(0, begin, end), {weight_vd}, math);
    if (!logits.is_cpu()) {
      composed_statistics(logits, 1 / temperature, chunk);
    } else if (logits.scalar_type() == at::kFloat) {
      cpu_statistics<float>(logits, 1 / temperature, chunk);
    } else {
      cpu_statistics<BFloat16>(logits, 1 / temperature, chunk);
    }
    if (!unit_nd.defined()) continue;
    const auto one = at::ones({end - begin}, options);
    unit_nd.slice(0, begin, end)
        .copy_(product(
            logit_gradients(logits, 1 / temperature, chunk, one, at::zeros_like(one), math.softcap),
            weight_vd));
  }
  return all;
}

// With the logits computed again. The weight's gradient is added to `grad_vd` where it is defined.
at::Tensor backward(const at::Tensor& grad_log_prob_n, const at::Tensor& grad_entropy_n,
                    const at::Tensor& hidden_nd, const at::Tensor& weight_vd,
                    const at::Tensor& target_n, const Statistics& all, double temperature,
                    const HeadMath& math, const at::Tensor& grad_vd) {
  auto grad_nd = at::empty_like(hidden_nd);
  for (int64_t begin = 0; begin < hidden_nd.size(0); begin += kHeadChunkRows) {
    const int64_t end = std::min(begin + kHeadChunkRows, hidden_nd.size(0));
    const auto hidden = hidden_nd.slice(0, begin, end);
    const auto by_logits = logit_gradients(
        head_logits(hidden, {weight_vd}, math), 1 / temperature, slice(target_n, all, begin, end),
        grad_log_prob_n.slice(0, begin, end), grad_entropy_n.slice(0, begin, end), math.softcap);
    grad_nd.slice(0, begin, end).copy_(product(by_logits, weight_vd));
    if (grad_vd.defined()) grad_vd.add_(product(by_logits.t(), hidden));
  }
  return grad_nd;
}

// A row's gradient by its hidden state is its log p's, times a number that the loss decides: it is
// computed in the forward pass, while the logits are there. Where the loss is of the entropy too,
// or the head itself is trained, they are computed a second time.
struct FusedHead : torch::autograd::Function<FusedHead> {
  static variable_list forward(AutogradContext* context, const at::Tensor& hidden,
                               const at::Tensor& weight, const at::Tensor& target,
                               double temperature, const HeadMath& math) {
    const auto unit = weight.requires_grad() ? at::Tensor() : at::empty_like(hidden);
    const auto weight_vd = weight.to(hidden.scalar_type());
    const Statistics s = l2a::forward(hidden, weight_vd, target, temperature, math, unit);
    context->save_for_backward({hidden, weight_vd, target, s.lse, s.entropy, unit});
    context->saved_data["temperature"] = temperature;
    context->saved_data["softcap"] = math.softcap;
    context->saved_data["products"] = static_cast<int64_t>(math.products);
    context->set_materialize_grads(false);
    return {s.log_prob, s.entropy};
  }

  static variable_list backward(AutogradContext* context, const variable_list& grads) {
    const variable_list v = context->get_saved_variables();
    const auto &by_log_prob = grads[0], &by_entropy = grads[1];
    if (!by_entropy.defined() && !by_log_prob.defined()) return {{}, {}, {}, {}, {}};
    if (!by_entropy.defined() && v[5].defined()) {
      const auto grad = v[5] * by_log_prob.unsqueeze(1);  // in float32
      return {grad.to(v[5].scalar_type()), {}, {}, {}, {}};
    }
    const Statistics statistics{at::empty_like(v[3]), v[4], v[3]};
    const auto of = [&](const at::Tensor& by) {
      return by.defined() ? by.contiguous() : at::zeros_like(v[3]);
    };
    at::Tensor grad_vd;
    if (!v[5].defined()) grad_vd = at::zeros(v[1].sizes(), v[1].options().dtype(at::kFloat));
    const HeadMath math{context->saved_data["softcap"].toDouble(),
                        static_cast<Products>(context->saved_data["products"].toInt())};
    const auto grad = l2a::backward(of(by_log_prob), of(by_entropy), v[0], v[1], v[2], statistics,
                                    context->saved_data["temperature"].toDouble(), math, grad_vd);
    return {grad, grad_vd, {}, {}, {}};
  }
};

}  // namespace

at::Tensor head_logits(const at::Tensor& hidden_nd, const FrozenMatrix& weight,
                       const HeadMath& math) {
  const auto logits_nv = linear(hidden_nd, weight, {}, math.products);
  return math.softcap > 0 ? at::tanh(logits_nv / math.softcap) * math.softcap : logits_nv;
}

HeadOutput fused_head(const at::Tensor& hidden_nd, const at::Tensor& weight_vd,
                      const at::Tensor& target_n, double temperature, const HeadMath& math) {
  check(target_n.dim() == 1 && target_n.size(0) == hidden_nd.size(0), "head: one target a row");
  check(temperature > 0, "head: temperature must be positive");
  if (!at::GradMode::is_enabled() || !(hidden_nd.requires_grad() || weight_vd.requires_grad())) {
    const auto weight = weight_vd.to(hidden_nd.scalar_type());
    const Statistics s = forward(hidden_nd, weight, target_n, temperature, math, {});
    return {s.log_prob, s.entropy};
  }
  const variable_list out = FusedHead::apply(hidden_nd, weight_vd, target_n, temperature, math);
  return {out[0], out[1]};
}

}  // namespace l2a
