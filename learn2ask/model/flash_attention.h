// Attention over a token tree by LibTorch's flash attention for packed sequences of unequal
// lengths, on the devices that have it: CUDA from Ampere on, in bfloat16. No score leaves the
// kernel. Private to this module.
//
// A token attends to its path in two parts, each one call over the whole tree: the sequences of
// `own` are segments, causal in themselves; those of `path` are the queries of neighbouring
// siblings together, with the keys before them, which are read once for all siblings. The parts'
// softmaxes are merged by the logs of their denominators; given the merged ones, each part's
// backward pass has its share of the whole gradient. Source: arXiv 2307.08691.
//
// Where tokens see a window only, siblings see different keys: then `own` alone is there, its
// sequences a segment's queries with as many keys of the path as its first token sees.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include <ATen/core/Tensor.h>

#include "model/attention_tensors.h"
#include "model/token_tree.h"

namespace l2a {

// Sequence s has the queries [query_start[s], query_start[s + 1]) and keys likewise; the last query
// sees the last key.
struct FlashSequences {
  at::Tensor query_m = {}, key_m = {};  // int64: the packed tokens that they are; undefined: all
  at::Tensor query_start, key_start;    // int32 [sequences + 1]
  int64_t most_queries = 0, most_keys = 0;  // of a sequence
  bool causal = false;
  int64_t window = 0;  // above 0: a query sees the last so many keys only, its own included
};

struct FlashPlan {
  FlashSequences own;
  std::optional<FlashSequences> path = {};
};

// The operator runs there, for this type and head width. Tried once a device. Thread-safe.
bool has_flash_attention(at::Device device, at::ScalarType type, int64_t head_dim);

// `window` as PlanOptions'.
FlashPlan plan_flash_attention(const TokenTree& tree, int64_t window, at::Device device);

// As tree_attention() and its backward. Sums in an order of the kernel's own: the same bits again
// only where LibTorch's deterministic algorithms are on.
AttentionOutput flash_tree_attention(const AttentionInput& in, const FlashPlan& plan, double scale);
AttentionInput flash_tree_attention_backward(const at::Tensor& grad_out_nkgh,
                                             const AttentionInput& in, const AttentionOutput& out,
                                             const FlashPlan& plan, double scale);

// One call. Shape suffixes: m queries, j keys, a query heads, k kv heads, h head dim.
struct FlashOutput {
  at::Tensor out_mah;  // in the compute type
  at::Tensor lse_am;   // float32
};
FlashOutput flash_attention(const at::Tensor& q_mah, const at::Tensor& k_jkh,
                            const at::Tensor& v_jkh, const FlashSequences& sequences, double scale);

}  // namespace l2a
