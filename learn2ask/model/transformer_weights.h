// The frozen weights behind a Transformer. Private to this module.
#pragma once

#include <span>

#include "model/pass_weights.h"
#include "model/transformer.h"

namespace l2a {

struct Transformer::Weights {
  PassWeights scoring;
  PassWeights generating;  // for prefill and decoding: the same, or in eight bits
};

at::ScalarType scalar_type(ComputeType type);

// The embedding's rows times `scale` in `type`, [ids, d]. Aborts on an id that it does not have.
at::Tensor embed(const at::Tensor& embedding_vd, std::span<const int32_t> ids, double scale,
                 at::ScalarType type);

}  // namespace l2a
