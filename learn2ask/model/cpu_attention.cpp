#include "model/cpu_attention.h"

#include <algorithm>
#include <numeric>

#include <ATen/Parallel.h>
#include <torch/autograd.h>
#include <torch/types.h>

#include "model/cpu_attention_task.h"

namespace l2a {
namespace {

using cpu_attention::head_of;
using cpu_attention::Sizes;
using cpu_attention::sizes_of;
using cpu_attention::TaskRunner;

struct WorkItem {
  size_t task;
  int64_t head;
};

// All tasks of all heads, dealt out to as many hands as there are threads: the largest first,
// each to the hand with least to do.
std::vector<std::vector<WorkItem>> deal(const std::vector<AttentionTask>& tasks, int64_t heads) {
  const auto cost = [&](size_t i) {
    return tasks[i].queries() * (2 * tasks[i].prefix_tokens + tasks[i].queries());
  };
  std::vector<size_t> order(tasks.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return cost(a) > cost(b); });
  std::vector<std::vector<WorkItem>> hands(at::get_num_threads());
  std::vector<int64_t> load(hands.size(), 0);
  for (const size_t task : order) {
    for (int64_t head = 0; head < heads; ++head) {
      const auto least = std::min_element(load.begin(), load.end()) - load.begin();
      hands[least].push_back({task, head});
      load[least] += cost(task);
    }
  }
  return hands;
}

// Calls work(hand number, its items) for each hand, in parallel.
template <class Work>
void in_parallel(const std::vector<std::vector<WorkItem>>& hands, const Work& work) {
  at::parallel_for(0, static_cast<int64_t>(hands.size()), 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) work(i, hands[i]);
  });
}

template <class T, class Unit>
void run_forward(const AttentionInput& in, const std::vector<AttentionTask>& tasks, double scale,
                 AttentionOutput& out) {
  const Sizes sizes = sizes_of(in.q_kngh, scale);
  in_parallel(deal(tasks, sizes.kv), [&](int64_t, const std::vector<WorkItem>& items) {
    TaskRunner<T, Unit> runner(sizes);
    for (const auto& [task, head] : items) {
      runner.forward(tasks[task], head_of<T>(in, head),
                     out.out_nkgh.data_ptr<T>() + head * sizes.g * sizes.h,
                     out.lse_kng.data_ptr<float>() + head * sizes.n * sizes.g);
    }
  });
}

template <class T, class Unit>
AttentionInput run_backward(const at::Tensor& grad_out_nkgh, const AttentionInput& in,
                            const AttentionOutput& out, const std::vector<AttentionTask>& tasks,
                            double scale) {
  const Sizes sizes = sizes_of(in.q_kngh, scale);
  const auto hands = deal(tasks, sizes.kv);
  const auto parts = static_cast<int64_t>(hands.size());
  auto grad_q = at::empty_like(in.q_kngh);
  auto grad_k = at::zeros({parts, sizes.kv, sizes.n, sizes.h}, at::kFloat);
  auto grad_v = at::zeros_like(grad_k);
  in_parallel(hands, [&](int64_t hand, const std::vector<WorkItem>& items) {
    TaskRunner<T, Unit> runner(sizes);
    for (const auto& [task, head] : items) {
      const int64_t at_head = head * sizes.g * sizes.h;
      const int64_t sum = (hand * sizes.kv + head) * sizes.n * sizes.h;
      runner.backward(tasks[task], head_of<T>(in, head), out.out_nkgh.const_data_ptr<T>() + at_head,
                      out.lse_kng.const_data_ptr<float>() + head * sizes.n * sizes.g,
                      grad_out_nkgh.const_data_ptr<T>() + at_head,
                      grad_q.template data_ptr<T>() + sizes.n * at_head,
                      grad_k.template data_ptr<float>() + sum,
                      grad_v.template data_ptr<float>() + sum);
    }
  });
  const auto type = in.q_kngh.scalar_type();
  return {grad_q, grad_k.sum(0).to(type), grad_v.sum(0).to(type)};
}

}  // namespace

AttentionOutput cpu_tree_attention(const AttentionInput& in,
                                   const std::vector<AttentionTask>& tasks, double scale) {
  const Sizes s = sizes_of(in.q_kngh, scale);
  AttentionOutput out{at::empty({s.n, s.kv, s.g, s.h}, in.q_kngh.options()),
                      at::empty({s.kv, s.n, s.g}, at::kFloat)};
  if (in.q_kngh.scalar_type() == at::kFloat) {
    run_forward<float, float>(in, tasks, scale, out);
  } else if (has_bf16_products()) {
    run_forward<BFloat16, Bf16Pair>(in, tasks, scale, out);
  } else {
    run_forward<BFloat16, float>(in, tasks, scale, out);
  }
  return out;
}

AttentionInput cpu_tree_attention_backward(const at::Tensor& grad_out_nkgh,
                                           const AttentionInput& in, const AttentionOutput& out,
                                           const std::vector<AttentionTask>& tasks, double scale) {
  if (in.q_kngh.scalar_type() == at::kFloat) {
    return run_backward<float, float>(grad_out_nkgh, in, out, tasks, scale);
  }
  if (has_bf16_products())
    return run_backward<BFloat16, Bf16Pair>(grad_out_nkgh, in, out, tasks, scale);
  return run_backward<BFloat16, float>(grad_out_nkgh, in, out, tasks, scale);
}

}  // namespace l2a
