// Attention of decoding rows: each row's newest token looks at its prefix, which it shares with
// others, and at the row's own new tokens. Keeps the keys and values of both.
// Private to this module.
//
// Shape suffixes: r live rows, k kv heads, g query heads of one kv head, h head dim.
#pragma once

#include <memory>
#include <vector>

#include "model/attention_tensors.h"
#include "model/transformer.h"

namespace l2a {

struct DecodeRow {
  int64_t slot = 0;        // where its new tokens are kept
  int64_t new_tokens = 0;  // before the newest
  size_t prefix = 0;
  bool operator==(const DecodeRow&) const = default;
};

// Not thread-safe.
class DecodeAttention {
 public:
  virtual ~DecodeAttention() = default;

  // The first tokens of row `row` of the cache's tree, all of them. Numbered from 0.
  virtual void add_prefix(const std::shared_ptr<const TreeCache>& cache, int64_t row) = 0;
  // No row hangs on it any more; its keys and values are let go of.
  virtual void remove_prefix(size_t prefix) = 0;
  // Of the keys and values that are kept here.
  virtual int64_t bytes() const = 0;
  // Slots [0, count) exist from now on.
  virtual void make_slots(int64_t count) = 0;
  // Slots `to` hold from now on what slots `from` do, each another one's; no slot is in both.
  virtual void copy_slots(const std::vector<int64_t>& from, const std::vector<int64_t>& to) = 0;

  // Keeps the newest keys and values of `now` (rotated, one token a row) and returns what the
  // output projection reads: [r, k * g * h] in the compute type. Rows of one prefix should stand
  // side by side: each run of them reads the prefix once.
  virtual at::Tensor attend(size_t layer, const AttentionInput& now,
                            const std::vector<DecodeRow>& rows) = 0;
};

// A row holds at most `max_new` new tokens.
std::unique_ptr<DecodeAttention> make_decode_attention(const TransformerConfig& config,
                                                       const at::TensorOptions& options,
                                                       int64_t max_new);
// The kinds that it chooses from: row loops for the CPU, torch's operators for any device.
std::unique_ptr<DecodeAttention> make_cpu_decode_attention(const TransformerConfig& config,
                                                           at::ScalarType type, int64_t max_new);
std::unique_ptr<DecodeAttention> make_composed_decode_attention(const TransformerConfig& config,
                                                                const at::TensorOptions& options,
                                                                int64_t max_new);

// Rows of one prefix that stand side by side: [begin, end) of the live rows.
struct DecodeRun {
  size_t prefix = 0;
  int64_t begin = 0, end = 0;
};
std::vector<DecodeRun> runs_of(const std::vector<DecodeRow>& rows);

}  // namespace l2a
