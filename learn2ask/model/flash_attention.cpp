#include "model/flash_attention.h"

#include <algorithm>
#include <limits>
#include <map>
#include <mutex>
#include <string>
#include <utility>

#include <ATen/core/dispatch/Dispatcher.h>
#include <torch/types.h>

#include "base/error.h"
#include "model/tree_plan.h"
#include "model/unordered_writes.h"

namespace l2a {
namespace {

// Collects sequences on the host.
class SequenceBuilder {
 public:
  void add_query(int64_t begin, int64_t end) { append(begin, end, query_); }
  void add_keys(int64_t begin, int64_t end) { append(begin, end, key_); }
  void end_sequence() {
    end_at(query_.size(), query_start_, most_queries_);
    end_at(key_.size(), key_start_, most_keys_);
  }

  bool empty() const { return query_.empty(); }

  FlashSequences build(at::Device device) const {
    return {.query_m = at::tensor(query_).to(device),
            .key_m = at::tensor(key_).to(device),
            .query_start = at::tensor(query_start_).to(device),
            .key_start = at::tensor(key_start_).to(device),
            .most_queries = most_queries_,
            .most_keys = most_keys_};
  }

 private:
  static void append(int64_t begin, int64_t end, std::vector<int64_t>& tokens) {
    for (int64_t token = begin; token < end; ++token) tokens.push_back(token);
  }
  static void end_at(size_t tokens, std::vector<int32_t>& start, int64_t& most) {
    check(tokens <= std::numeric_limits<int32_t>::max(), "flash attention: too many tokens");
    most = std::max<int64_t>(most, static_cast<int64_t>(tokens) - start.back());
    start.push_back(static_cast<int32_t>(tokens));
  }

  std::vector<int64_t> query_, key_;
  std::vector<int32_t> query_start_{0}, key_start_{0};
  int64_t most_queries_ = 0, most_keys_ = 0;
};

// The task's queries that are a segment: they see the same of the task's own.
std::vector<TokenRange> segments_of(const AttentionTask& task) {
  std::vector<TokenRange> segments;
  for (int64_t i = 0; i < task.queries(); ++i) {
    const int64_t token = task.begin + i;
    if (i == 0 || task.own_start[i] != task.own_start[i - 1]) segments.push_back({token, token});
    segments.back().end = token + 1;
  }
  return segments;
}

void add_path(const AttentionTask& task, SequenceBuilder& path) {
  path.add_query(task.begin, task.end);
  for (const TokenRange& range : task.prefix) path.add_keys(range.begin, range.end);
  path.end_sequence();
}

// With as much of its path as the first query's window holds.
void add_windowed(const AttentionTask& task, int64_t window, SequenceBuilder& own) {
  own.add_query(task.begin, task.end);
  int64_t unseen = std::max<int64_t>(task.prefix_tokens - (window - 1), 0);
  for (const TokenRange& range : task.prefix) {
    const int64_t left_out = std::min(unseen, range.end - range.begin);
    own.add_keys(range.begin + left_out, range.end);
    unseen -= left_out;
  }
  own.add_keys(task.begin, task.end);
  own.end_sequence();
}

at::Tensor select(const at::Tensor& x, int64_t dim, const at::Tensor& index) {
  return index.defined() ? x.index_select(dim, index) : x;
}

// Packed tokens first, query heads in one dimension.
struct PackedInput {
  at::Tensor q_nah, k_nkh, v_nkh;

  explicit PackedInput(const AttentionInput& in)
      : q_nah(in.q_kngh.transpose(0, 1).flatten(1, 2)),
        k_nkh(in.k_knh.transpose(0, 1)),
        v_nkh(in.v_knh.transpose(0, 1)) {}
};

// The kernels take a window as the keys that a query sees before and after its own; -1: all.
struct Window {
  int64_t left, right;
  explicit Window(const FlashSequences& s)
      : left(s.window > 0 ? s.window - 1 : -1), right(s.causal ? 0 : -1) {}
};

// Where no sequence has two queries the operator takes a path of its own for query heads that share
// keys, with outputs of another shape; the number bounds the work and may be above.
int64_t most_queries(const FlashSequences& s) { return std::max<int64_t>(s.most_queries, 2); }

FlashOutput call_flash_attention(const at::Tensor& q_mah, const at::Tensor& k_jkh,
                                 const at::Tensor& v_jkh, const FlashSequences& s, double scale) {
  const Window window(s);
  const auto outputs = at::_flash_attention_forward(
      q_mah, k_jkh, v_jkh, s.query_start, s.key_start, most_queries(s), s.most_keys,
      /*dropout_p=*/0.0, s.causal, /*return_debug_mask=*/false, scale, window.left, window.right);
  return {std::get<0>(outputs), std::get<1>(outputs)};
}

// Of the shapes that FlashOutput has, which other releases of the kernels had otherwise.
bool is_known(const FlashOutput& out) {
  return out.lse_am.dim() == 2 && out.lse_am.size(0) == out.out_mah.size(1);
}

// One softmax over what two saw; their weights come from the logs of their denominators.
FlashOutput merge(const FlashOutput& a, const FlashOutput& b) {
  const auto weight_ma1 = at::sigmoid(b.lse_am - a.lse_am).t().unsqueeze(-1);
  const auto out = at::lerp(a.out_mah.to(at::kFloat), b.out_mah.to(at::kFloat), weight_ma1);
  return {out.to(a.out_mah.scalar_type()), at::logaddexp(a.lse_am, b.lse_am)};
}

// Gradients of the selected queries, keys and values; `lse_an` and `out_nah` are the whole
// softmax's.
struct PartGradients {
  at::Tensor q_mah, k_jkh, v_jkh;
};
PartGradients part_backward(const at::Tensor& grad_out_nah, const PackedInput& in,
                            const at::Tensor& out_nah, const at::Tensor& lse_an,
                            const FlashSequences& s, double scale) {
  const auto random = at::empty({2}, in.q_nah.options().dtype(at::kUInt64));  // of dropout: unused
  const Window window(s);
  const auto [q, k, v] = at::_flash_attention_backward(
      select(grad_out_nah, 0, s.query_m).contiguous(), select(in.q_nah, 0, s.query_m),
      select(in.k_nkh, 0, s.key_m), select(in.v_nkh, 0, s.key_m),
      select(out_nah, 0, s.query_m).contiguous(), select(lse_an, 1, s.query_m).contiguous(),
      s.query_start, s.key_start, most_queries(s), s.most_keys, /*dropout_p=*/0.0, s.causal, random,
      random.select(0, 0), scale, window.left, window.right);
  return {q, k, v};
}

// Tries it: a build without the kernels has the operator all the same, and so have devices that are
// too old for them.
bool runs_flash_attention(at::Device device, int64_t head_dim) {
  const auto op = c10::Dispatcher::singleton().findOp({"aten::_flash_attention_forward", ""});
  const auto key = at::TensorOptions(device).computeDispatchKey();
  if (!op || !op->hasKernelForDispatchKey(key)) return false;
  const torch::NoGradGuard no_grad;
  const auto x = at::zeros({1, 1, head_dim}, at::TensorOptions(device).dtype(at::kBFloat16));
  const FlashSequences one{.query_start = at::tensor(std::vector<int32_t>{0, 1}).to(device),
                           .key_start = at::tensor(std::vector<int32_t>{0, 1}).to(device),
                           .most_queries = 1,
                           .most_keys = 1};
  try {
    return is_known(call_flash_attention(x, x, x, one, 1));
  } catch (const c10::Error&) {
    return false;
  }
}

}  // namespace

bool has_flash_attention(at::Device device, at::ScalarType type, int64_t head_dim) {
  if (device.is_cpu() || type != at::kBFloat16 || head_dim % 8 != 0 || head_dim > 256) return false;
  static std::mutex mutex;
  static std::map<std::pair<std::string, int64_t>, bool> known;
  const std::lock_guard lock(mutex);
  const auto [found, is_new] = known.try_emplace({device.str(), head_dim}, false);
  if (is_new) found->second = runs_flash_attention(device, head_dim);
  return found->second;
}

FlashPlan plan_flash_attention(const TokenTree& tree, int64_t window, at::Device device) {
  SequenceBuilder own, path;
  for (const AttentionTask& task :
       plan_attention(tree, {.max_queries = tree.tokens(), .join_siblings = window == 0})) {
    if (window > 0) {
      add_windowed(task, window, own);
      continue;
    }
    for (const TokenRange& segment : segments_of(task)) {
      own.add_query(segment.begin, segment.end);
      own.add_keys(segment.begin, segment.end);
      own.end_sequence();
    }
    if (task.prefix_tokens > 0) add_path(task, path);
  }
  FlashPlan plan{.own = own.build(device)};
  plan.own.causal = true;
  plan.own.window = window;
  plan.own.query_m.reset();  // tasks cover the tree's tokens in packed order
  if (window == 0) plan.own.key_m.reset();
  if (!path.empty()) plan.path = path.build(device);
  return plan;
}

FlashOutput flash_attention(const at::Tensor& q_mah, const at::Tensor& k_jkh,
                            const at::Tensor& v_jkh, const FlashSequences& s, double scale) {
  FlashOutput out = call_flash_attention(q_mah, k_jkh, v_jkh, s, scale);
  check(is_known(out), "flash attention: outputs of another shape than it had at first");
  return out;
}

AttentionOutput flash_tree_attention(const AttentionInput& in, const FlashPlan& plan,
                                     double scale) {
  const int64_t kv = in.q_kngh.size(0), g = in.q_kngh.size(2);
  const PackedInput x(in);
  FlashOutput all = flash_attention(x.q_nah, select(x.k_nkh, 0, plan.own.key_m),
                                    select(x.v_nkh, 0, plan.own.key_m), plan.own, scale);
  if (plan.path) {
    const auto &query = plan.path->query_m, &key = plan.path->key_m;
    const FlashOutput path =
        flash_attention(x.q_nah.index_select(0, query), x.k_nkh.index_select(0, key),
                        x.v_nkh.index_select(0, key), *plan.path, scale);
    const FlashOutput own{all.out_mah.index_select(0, query), all.lse_am.index_select(1, query)};
    const FlashOutput merged = merge(own, path);
    const UnorderedWrites unordered;
    all.out_mah.index_copy_(0, query, merged.out_mah);
    all.lse_am.index_copy_(1, query, merged.lse_am);
  }
  return {all.out_mah.unflatten(1, {kv, g}), all.lse_am.unflatten(0, {kv, g}).transpose(1, 2)};
}

AttentionInput flash_tree_attention_backward(const at::Tensor& grad_out_nkgh,
                                             const AttentionInput& in, const AttentionOutput& out,
                                             const FlashPlan& plan, double scale) {
  const int64_t kv = in.q_kngh.size(0), g = in.q_kngh.size(2);
  const PackedInput x(in);
  const auto of = [&](const FlashSequences& s) {
    return part_backward(grad_out_nkgh.flatten(1, 2), x, out.out_nkgh.flatten(1, 2),
                         out.lse_kng.transpose(1, 2).flatten(0, 1), s, scale);
  };
  PartGradients grad = of(plan.own);
  // A key's gradient is summed over all that see it, in float32.
  const auto wide = x.k_nkh.options().dtype(at::kFloat);
  at::Tensor k, v;
  const auto add_keys = [&](const at::Tensor& key, const PartGradients& part) {
    k.index_add_(0, key, part.k_jkh.to(at::kFloat));
    v.index_add_(0, key, part.v_jkh.to(at::kFloat));
  };
  if (plan.own.key_m.defined()) {
    k = at::zeros(x.k_nkh.sizes(), wide), v = at::zeros(x.k_nkh.sizes(), wide);
    add_keys(plan.own.key_m, grad);
  } else {
    k = grad.k_jkh.to(at::kFloat), v = grad.v_jkh.to(at::kFloat);
  }
  if (plan.path) {
    const PartGradients path = of(*plan.path);
    add_keys(plan.path->key_m, path);
    const UnorderedWrites unordered;
    grad.q_mah.index_add_(0, plan.path->query_m, path.q_mah);
  }
  const auto type = in.k_knh.scalar_type();
  return {grad.q_mah.unflatten(1, {kv, g}).transpose(0, 1), k.to(type).transpose(0, 1),
          v.to(type).transpose(0, 1)};
}

}  // namespace l2a
