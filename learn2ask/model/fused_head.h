// The output head and the softmax over the vocabulary in one operator, a chunk of rows at a
// time: no [n, v] tensor exists. Private to this module.
#pragma once

#include <cstdint>

#include <ATen/core/Tensor.h>

#include "model/transformer.h"

namespace l2a {

constexpr int64_t kHeadChunkRows = 256;

// As Transformer::head. Differentiable with respect to `hidden_nd` when autograd is on.
HeadOutput fused_head(const at::Tensor& hidden_nd, const at::Tensor& weight_vd,
                      const at::Tensor& target_n, double temperature, double softcap);

// softcap * tanh(logits / softcap); the logits themselves for 0.
at::Tensor cap_logits(const at::Tensor& logits_nv, double softcap);

}  // namespace l2a
