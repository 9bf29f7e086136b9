// The shape of a decoder-only transformer, whatever file it came from.
#pragma once

#include <cstdint>

namespace l2a {

struct TransformerConfig {
  int64_t layers = 0;
  int64_t width = 0;     // of the residual stream
  int64_t heads = 0;     // query heads
  int64_t kv_heads = 0;  // divides heads
  int64_t head_dim = 0;
  int64_t mlp_width = 0;
  int64_t vocabulary = 0;
  int64_t max_positions = 0;
  double norm_epsilon = 1e-5;
  double rope_theta = 10000;
  bool tied_head = true;  // the output head is the embedding
};

}  // namespace l2a
