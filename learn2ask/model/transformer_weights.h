// The frozen weights behind a Transformer. Private to this module.
#pragma once

#include <span>
#include <vector>

#include "model/decoder_layer.h"
#include "model/fused_head.h"
#include "model/transformer.h"

namespace l2a {

struct Transformer::Weights {
  at::Tensor embedding_vd;  // compute type
  at::Tensor norm_d;        // float32
  at::Tensor head_vd;       // compute type; the embedding itself where tied
  std::vector<FrozenLayer> layers;
  // What prefill and decoding run on: the same, or in eight bits.
  std::vector<FrozenLayer> generating_layers;
  FrozenMatrix generating_head;
  HeadMath head_math;
};

at::ScalarType scalar_type(ComputeType type);

// The embedding's rows times `scale`, [ids, d]. Aborts on an id that it does not have.
at::Tensor embed(const at::Tensor& embedding_vd, std::span<const int32_t> ids, double scale);

}  // namespace l2a
