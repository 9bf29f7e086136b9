// What attention over a token tree takes and gives. Private to this module.
//
// Shape suffixes: n packed tokens, k kv heads, g query heads of one kv head, h head dim.
// Query heads are numbered k * G + g, as in Hugging Face's Llama.
#pragma once

#include <ATen/core/Tensor.h>

namespace l2a {

// Rotated queries and keys, and values, in the compute type.
struct AttentionInput {
  at::Tensor q_kngh, k_knh, v_knh;
};

struct AttentionOutput {
  at::Tensor out_nkgh;  // as the output projection reads it, in the compute type
  at::Tensor lse_kng;   // log of the softmax's denominator, float32; the backward pass needs it
};

}  // namespace l2a
