// Decoding many rows at once, ragged, on shared prefixes: the rows that hang on the same prefix
// read its keys and values together, once.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include <ATen/core/Tensor.h>

#include "model/transformer.h"

namespace l2a {

// Not thread-safe. No autograd.
class DecodeBatch {
 public:
  // `max_new_tokens`: a row never grows past that. `model` and `trained` must outlive it.
  DecodeBatch(const Transformer& model, const TrainedWeights* trained, int64_t max_new_tokens);
  ~DecodeBatch();

  // Adds a row, after those that are there: it continues row `row` of the cache's tree after its
  // last token.
  void add(std::shared_ptr<const TreeCache> cache, int64_t row);

  // Feeds one token to each row, in order, and returns the logits of the next, [rows, v] in the
  // compute type. The first logits come from the cache's hidden states: first().
  at::Tensor step(std::span<const int32_t> ids);
  // Logits after the prefixes, as step(), of the rows from `from` on.
  at::Tensor first(int64_t from = 0) const;

  int64_t rows() const;
  // The rows are from now on those at `positions`, in ascending order. A row that is named n times
  // goes on n ways from here: what its ways have in common is computed once. Prefixes without a row
  // are let go of, and so are caches that only they needed.
  void keep(std::span<const int64_t> positions);

  // Of keys and values, those of the caches included.
  int64_t bytes() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace l2a
