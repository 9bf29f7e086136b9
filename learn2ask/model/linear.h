// Products of activations with the weights of linear layers. Private to this module.
//
// Shape suffixes: n tokens, i input and o output of the layer.
#pragma once

#include <optional>

#include <ATen/core/Tensor.h>

#include "model/int8_matrix.h"

namespace l2a {

// Whether the library has products of this type that were written for speed. It has none of
// bfloat16 on a processor without instructions for them (AVX2 laptops): there ours, in float32, are
// ten times as fast, but for a few tokens.
bool library_multiplies(at::ScalarType type, at::Device device);

// Whose products. The fastest are the library's where it multiplies. A library chooses its way
// through a product, and with that the order of its sums, by the shapes and the number of threads;
// ours takes each sum from the first input to the last, whatever stands beside it: a token's output
// is the same bits in any batch.
enum class Products { kFastest, kBatchInvariant };

// y = x w' [+ added], in one rounding; `added` is [n, o], a bias [o] or undefined. All of one type,
// float32 or bfloat16; kBatchInvariant on the CPU only. No autograd.
at::Tensor linear(const at::Tensor& x_ni, const at::Tensor& w_oi, const at::Tensor& added,
                  Products products);

// Of a linear layer: in the compute type or, where it is for generation alone, in eight bits.
struct FrozenMatrix {
  at::Tensor w_oi;
  std::optional<Int8Matrix> int8 = {};  // `products` are its own then
};
at::Tensor linear(const at::Tensor& x_ni, const FrozenMatrix& w, const at::Tensor& added,
                  Products products);

// y += x w', in place; y is contiguous.
void add_linear_(at::Tensor& y_no, const at::Tensor& x_ni, const at::Tensor& w_oi,
                 Products products);

// a b, and y += a b in place, for backward passes: the library's where it multiplies. y is
// contiguous.
at::Tensor product(const at::Tensor& a_mk, const at::Tensor& b_kn);
void add_product_(at::Tensor& y_mn, const at::Tensor& a_mk, const at::Tensor& b_kn);

}  // namespace l2a
