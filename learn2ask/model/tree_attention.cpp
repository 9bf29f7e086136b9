#include "model/tree_attention.h"

#include <cmath>

#include <torch/types.h>

#include "model/cpu_attention.h"
#include "model/ops.h"

namespace l2a {
namespace {

at::Tensor gather(const at::Tensor& x_knh, const AttentionTask& task) {
  std::vector<at::Tensor> parts;
  for (const TokenRange& range : task.prefix) {
    parts.push_back(x_knh.slice(1, range.begin, range.end));
  }
  parts.push_back(x_knh.slice(1, task.begin, task.end));
  return at::cat(parts, 1);
}

// True where query i of the task may not see key j, [m, 1, keys].
at::Tensor hidden_keys(const AttentionTask& task, at::Device device) {
  const auto column = [&](const at::Tensor& there, const std::vector<int32_t>& values) {
    return there.defined() ? there : at::tensor(values, at::kInt).to(device).unsqueeze(1);
  };
  const auto start = column(task.own_start_m1, task.own_start);
  const auto prefix_start = column(task.prefix_start_m1, task.prefix_start) - task.prefix_tokens;
  const auto i = at::arange(task.queries(), start.options()).unsqueeze(1);
  const auto j = at::arange(-task.prefix_tokens, task.queries(), start.options()).unsqueeze(0);
  return ((j > i) | ((j >= 0) & (j < start)) | ((j < 0) & (j < prefix_start))).unsqueeze(1);
}

// Scaled scores of the task's queries, float32 [k, m * g, keys].
at::Tensor scores(const at::Tensor& q, const at::Tensor& k, const AttentionTask& task, int64_t g,
                  double scale) {
  return composed::wide_bmm(q, k.transpose(1, 2))
      .mul_(scale)
      .view({q.size(0), task.queries(), g, task.keys()})
      .masked_fill_(hidden_keys(task, q.device()), -INFINITY)
      .view({q.size(0), task.queries() * g, task.keys()});
}

at::Tensor task_queries(const at::Tensor& q_kngh, const AttentionTask& task) {
  return q_kngh.slice(1, task.begin, task.end).flatten(1, 2).contiguous();
}

}  // namespace

AttentionOutput tree_attention(const AttentionInput& in, const AttentionPlan& plan, double scale) {
  if (plan.flash) return flash_tree_attention(in, *plan.flash, scale);
  return in.q_kngh.is_cpu() ? cpu_tree_attention(in, plan.tasks, scale)
                            : composed_tree_attention(in, plan.tasks, scale);
}

AttentionInput tree_attention_backward(const at::Tensor& grad_out_nkgh, const AttentionInput& in,
                                       const AttentionOutput& out, const AttentionPlan& plan,
                                       double scale) {
  if (plan.flash) return flash_tree_attention_backward(grad_out_nkgh, in, out, *plan.flash, scale);
  return in.q_kngh.is_cpu()
             ? cpu_tree_attention_backward(grad_out_nkgh, in, out, plan.tasks, scale)
             : composed_tree_attention_backward(grad_out_nkgh, in, out, plan.tasks, scale);
}

AttentionOutput composed_tree_attention(const AttentionInput& in,
                                        const std::vector<AttentionTask>& tasks, double scale) {
  const int64_t kv = in.q_kngh.size(0), n = in.q_kngh.size(1), g = in.q_kngh.size(2);
  AttentionOutput out{at::empty({n, kv, g, in.q_kngh.size(3)}, in.q_kngh.options()),
                      at::empty({kv, n, g}, in.q_kngh.options().dtype(at::kFloat))};
  for (const AttentionTask& task : tasks) {
    const auto q = task_queries(in.q_kngh, task);
    const auto s = scores(q, gather(in.k_knh, task), task, g, scale);
    const auto p = at::softmax(s, -1).to(q.scalar_type());
    const auto o = at::bmm(p, gather(in.v_knh, task));
    out.out_nkgh.slice(0, task.begin, task.end)
        .copy_(o.view({kv, task.queries(), g, -1}).transpose(0, 1));
    out.lse_kng.slice(1, task.begin, task.end)
        .copy_(at::logsumexp(s, -1).view({kv, task.queries(), g}));
  }
  return out;
}

AttentionInput composed_tree_attention_backward(const at::Tensor& grad_out_nkgh,
                                                const AttentionInput& in,
                                                const AttentionOutput& out,
                                                const std::vector<AttentionTask>& tasks,
                                                double scale) {
  const int64_t g = in.q_kngh.size(2);
  const auto type = in.q_kngh.scalar_type();
  const auto wide = in.q_kngh.options().dtype(at::kFloat);
  const AttentionInput grad{at::empty_like(in.q_kngh), at::zeros(in.k_knh.sizes(), wide),
                            at::zeros(in.v_knh.sizes(), wide)};
  const auto delta_kng =
      (grad_out_nkgh.to(at::kFloat) * out.out_nkgh.to(at::kFloat)).sum(-1).transpose(0, 1);
  for (const AttentionTask& task : tasks) {
    const auto rows = [&](const at::Tensor& x_kng) {
      return x_kng.slice(1, task.begin, task.end).flatten(1, 2).unsqueeze(-1);
    };
    const auto q = task_queries(in.q_kngh, task);
    const auto k = gather(in.k_knh, task), v = gather(in.v_knh, task);
    const auto go = task_queries(grad_out_nkgh.transpose(0, 1), task);
    const auto p = (scores(q, k, task, g, scale) - rows(out.lse_kng)).exp();
    const auto gp = composed::wide_bmm(go, v.transpose(1, 2));
    const auto gs = (p * (gp - rows(delta_kng)) * scale).to(type);
    grad.q_kngh.slice(1, task.begin, task.end)
        .copy_(at::bmm(gs, k).view({q.size(0), task.queries(), g, -1}));
    const auto gk = at::bmm(gs.transpose(1, 2), q), gv = at::bmm(p.to(type).transpose(1, 2), go);
    int64_t from = 0;
    const auto scatter = [&](const TokenRange& range) {
      const int64_t to = from + range.end - range.begin;
      grad.k_knh.slice(1, range.begin, range.end).add_(gk.slice(1, from, to));
      grad.v_knh.slice(1, range.begin, range.end).add_(gv.slice(1, from, to));
      from = to;
    };
    for (const TokenRange& range : task.prefix) scatter(range);
    scatter({task.begin, task.end});
  }
  return {grad.q_kngh, grad.k_knh.to(type), grad.v_knh.to(type)};
}

}  // namespace l2a
