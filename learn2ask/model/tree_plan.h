// How attention runs over a token tree: cut into tasks, each a run of packed queries that share
// their ancestors. Private to this module.
#pragma once

#include <cstdint>
#include <vector>

#include <ATen/core/Tensor.h>

#include "model/token_tree.h"

namespace l2a {

// The queries are the packed tokens [begin, end). Each attends to the tokens of `prefix` from
// prefix_start on and, among the task's own, to those from own_start up to and including itself.
struct AttentionTask {
  std::vector<TokenRange> prefix;
  int64_t prefix_tokens = 0;
  int64_t begin = 0, end = 0;
  std::vector<int32_t> prefix_start;  // for each query, counted along the prefix
  std::vector<int32_t> own_start;     // for each query, counted from `begin`; ascending
  // The same, int32 [queries, 1], where a device other than the CPU reads them; else undefined.
  at::Tensor prefix_start_m1 = {}, own_start_m1 = {};

  int64_t queries() const { return end - begin; }
  int64_t keys() const { return prefix_tokens + queries(); }
};

struct PlanOptions {
  int64_t window = 0;  // above 0: a token sees the last so many of its path only, itself included
  int64_t max_queries = 128;
  // Puts short neighbouring siblings into one task. Without, a task's keys lie in path order from a
  // multiple of 16 tokens on, whatever else is in the tree: the order of a token's sums.
  bool join_siblings = true;
};

// The tasks cover the tree's tokens in packed order. Long segments are cut, and siblings put
// together, at about `max_queries` tokens. For attention on `device`.
std::vector<AttentionTask> plan_attention(const TokenTree& tree, const PlanOptions& options = {},
                                          at::Device device = at::kCPU);

// Position id of each packed token.
std::vector<int64_t> token_positions(const TokenTree& tree);

}  // namespace l2a
