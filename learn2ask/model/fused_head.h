// The output head and the softmax over the vocabulary in one operator, a chunk of rows at a
// time: no [n, v] tensor exists. Private to this module.
#pragma once

#include <cstdint>

#include <ATen/core/Tensor.h>

#include "model/linear.h"
#include "model/transformer.h"

namespace l2a {

constexpr int64_t kHeadChunkRows = 256;

struct HeadMath {
  double softcap = 0;                      // c: logits x become c tanh(x / c); 0: none
  Products products = Products::kFastest;  // of forward passes
};

// As Transformer::head. Differentiable with respect to `hidden_nd` and, where it is trained, to the
// weight, float32 then, when autograd is on.
HeadOutput fused_head(const at::Tensor& hidden_nd, const at::Tensor& weight_vd,
                      const at::Tensor& target_n, double temperature, const HeadMath& math);

// Logits of hidden states, [n, v] in their type.
at::Tensor head_logits(const at::Tensor& hidden_nd, const FrozenMatrix& weight,
                       const HeadMath& math);

}  // namespace l2a
