// LibTorch's flash attention for packed sequences, which it has on GPUs only, from its definition,
// sequence by sequence in float32: registered for the CPU, from where the guarded device takes it.
//
// A query sees the keys up to its own place, counted from the sequences' ends, where `causal`; and
// not more than `left` before and `right` after that place where these are 0 or more. The logs of
// the softmaxes' denominators are [query heads, all queries]. The backward pass takes them and the
// outputs as they are given, which need not be those of these keys alone.

#include <limits>
#include <vector>

#include <torch/library.h>
#include <torch/types.h>

namespace {

using torch::jit::Stack;

// The arguments that both operators have at one place or another.
struct Call {
  at::Tensor q, k, v, query_start, key_start;
  bool causal = false;
  double scale = 1;
  int64_t left = -1, right = -1;
};

// Tokens [begin, end).
struct Tokens {
  int64_t begin = 0, end = 0;
  at::Tensor of(const at::Tensor& x, int64_t dim = 0) const { return x.slice(dim, begin, end); }
};

// Of one sequence, float32: queries and outputs [a, m, h], keys and values [a, j, h], a key head
// once for each of its query heads.
struct Sequence {
  Tokens queries, keys;
  at::Tensor q = {}, k = {}, v = {};
  at::Tensor scores = {};  // [a, m, j], what is hidden at -inf
};

std::vector<Sequence> sequences_of(const Call& call) {
  const int64_t groups = call.q.size(1) / call.k.size(1);
  const auto heads_first = [](const at::Tensor& x, const Tokens& tokens) {
    return tokens.of(x).to(at::kFloat).transpose(0, 1);
  };
  std::vector<Sequence> all;
  for (int64_t s = 0; s + 1 < call.query_start.size(0); ++s) {
    const auto place = [s](const at::Tensor& start) {
      return Tokens{start[s].item<int64_t>(), start[s + 1].item<int64_t>()};
    };
    Sequence one{.queries = place(call.query_start), .keys = place(call.key_start)};
    one.q = heads_first(call.q, one.queries);
    if (one.q.size(1) == 0) continue;
    one.k = heads_first(call.k, one.keys).repeat_interleave(groups, 0);
    one.v = heads_first(call.v, one.keys).repeat_interleave(groups, 0);
    const int64_t queries = one.q.size(1), keys = one.k.size(1);
    const auto after =
        at::arange(keys).unsqueeze(0) - (at::arange(queries).unsqueeze(1) + (keys - queries));
    auto hidden = at::zeros_like(after, at::kBool);
    if (call.causal) hidden = hidden | (after > 0);
    if (call.right >= 0) hidden = hidden | (after > call.right);
    if (call.left >= 0) hidden = hidden | (after < -call.left);
    TORCH_CHECK(!hidden.all(1).any().item<bool>(), "flash attention: a query that sees nothing");
    one.scores = at::bmm(one.q, one.k.transpose(1, 2))
                     .mul(call.scale)
                     .masked_fill(hidden, -std::numeric_limits<float>::infinity());
    all.push_back(one);
  }
  return all;
}

Call read_call(const std::vector<c10::IValue>& a, size_t tensors, size_t causal, size_t scale) {
  const auto number = [&](size_t i) { return a[i].isNone() ? -1 : a[i].toInt(); };
  return {a[tensors].toTensor(),    a[tensors + 1].toTensor(), a[tensors + 2].toTensor(),
          a[causal - 5].toTensor(), a[causal - 4].toTensor(),  a[causal].toBool(),
          a[scale].toDouble(),      number(scale + 1),         number(scale + 2)};
}

std::vector<c10::IValue> pop_all(const c10::OperatorHandle& op, Stack* stack) {
  const auto count = static_cast<int>(op.schema().arguments().size());
  std::vector<c10::IValue> arguments(stack->end() - count, stack->end());
  torch::jit::drop(*stack, static_cast<size_t>(count));
  return arguments;
}

// (query, key, value, cum_seq_q, cum_seq_k, max_q, max_k, dropout_p, is_causal, debug, scale, ...)
void forward(const c10::OperatorHandle& op, Stack* stack) {
  const Call call = read_call(pop_all(op, stack), 0, 8, 10);
  const auto out = at::zeros_like(call.q);
  const auto lse = at::zeros({call.q.size(1), call.q.size(0)});
  for (const Sequence& one : sequences_of(call)) {
    const auto attended = at::bmm(at::softmax(one.scores, -1), one.v);
    one.queries.of(out).copy_(attended.transpose(0, 1));
    one.queries.of(lse, 1).copy_(at::logsumexp(one.scores, -1));
  }
  torch::jit::push(*stack, out, lse, at::zeros({2}, at::kLong), at::zeros({}, at::kLong),
                   at::Tensor());
}

// (grad_out, query, key, value, out, logsumexp, cum_seq_q, cum_seq_k, max_q, max_k, dropout_p,
// is_causal, rng_state, unused, scale, ...)
void backward(const c10::OperatorHandle& op, Stack* stack) {
  const auto arguments = pop_all(op, stack);
  const Call call = read_call(arguments, 1, 11, 14);
  const auto grad_out = arguments[0].toTensor().to(at::kFloat);
  const auto delta = (grad_out * arguments[4].toTensor().to(at::kFloat)).sum(-1).t();
  const auto lse = arguments[5].toTensor();
  const int64_t kv = call.k.size(1);
  const auto grad_q = at::zeros_like(call.q), grad_k = at::zeros_like(call.k),
             grad_v = at::zeros_like(call.v);
  for (const Sequence& one : sequences_of(call)) {
    const auto of_queries = [&](const at::Tensor& x_am) {
      return one.queries.of(x_am, 1).unsqueeze(-1);
    };
    const auto go = one.queries.of(grad_out).transpose(0, 1);
    const auto p = (one.scores - of_queries(lse)).exp();
    const auto gs = p * (at::bmm(go, one.v.transpose(1, 2)) - of_queries(delta)) * call.scale;
    const auto of_kv_heads = [&](const at::Tensor& x_ajh) {
      return x_ajh.unflatten(0, {kv, -1}).sum(1).transpose(0, 1);
    };
    one.queries.of(grad_q).copy_(at::bmm(gs, one.k).transpose(0, 1));
    one.keys.of(grad_k).copy_(of_kv_heads(at::bmm(gs.transpose(1, 2), one.q)));
    one.keys.of(grad_v).copy_(of_kv_heads(at::bmm(p.transpose(1, 2), go)));
  }
  torch::jit::push(*stack, grad_q, grad_k, grad_v);
}

TORCH_LIBRARY_IMPL(aten, CPU, m) {
  m.impl("_flash_attention_forward", torch::CppFunction::makeFromBoxedFunction<&forward>());
  m.impl("_flash_attention_backward", torch::CppFunction::makeFromBoxedFunction<&backward>());
}

}  // namespace
