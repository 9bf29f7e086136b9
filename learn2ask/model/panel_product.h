// Products of matrices by panels (panel.h), on all threads. Private to this module.
#pragma once

#include <ATen/core/Tensor.h>

namespace l2a {

// out = a b [+ added], in one rounding. a [m, k], b [k, n] and out [m, n] are of one type, float32
// or bfloat16, on the CPU; out is contiguous, `added` is [m, n] (out itself may be), a bias [n] or
// undefined. Each sum runs in float32 from the first of the k terms to the last: an entry is the
// same bits whatever stands beside it, on any number of threads. No autograd.
void panel_product(const at::Tensor& a_mk, const at::Tensor& b_kn, const at::Tensor& added,
                   at::Tensor& out_mn);

}  // namespace l2a
