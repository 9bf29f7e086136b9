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
  // `max_new_tokens`: a row never grows past that. `model` and `adapter` must outlive it.
  DecodeBatch(const Transformer& model, const LoraAdapter* adapter, int64_t max_new_tokens);
  ~DecodeBatch();

  // Adds `count` rows that continue row `row` of the cache's tree after its last token. Rows
  // are numbered from 0 in the order they were added.
  void add(std::shared_ptr<const TreeCache> cache, int64_t row, int64_t count);

  // Feeds one token to each live row (in the order of live()) and returns the logits of the
  // next, [live, v] in the compute type. The first logits come from the cache's hidden states:
  // first().
  at::Tensor step(std::span<const int32_t> ids);
  at::Tensor first() const;  // logits after the prefixes, as step()

  const std::vector<int64_t>& live() const;       // row numbers, in order
  void keep(std::span<const int64_t> positions);  // keeps these positions of live(), in order

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace l2a
