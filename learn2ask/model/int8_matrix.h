// Frozen matrices in eight bits, for generation: half the memory that bfloat16 reads a token, and
// twice the multiplications in an instruction. Private to this module.
//
// Along the inputs, every 64 numbers of a weight's row or of a token have one scale: the largest
// becomes 127. Products of the whole numbers are exact, those of 64 are scaled and added in
// float32, first group to last: a token's output is the same bits in any batch, on any number of
// threads.
//
// Shape suffixes: n tokens, i input and o output of the layer.
#pragma once

#include <cstdint>

#include <ATen/core/Tensor.h>

namespace l2a {

struct Int8Matrix {
  int64_t outputs = 0, inputs = 0;
  at::Tensor numbers;  // uint8, plus 128; outputs 32 by 32, see int8_matrix.cpp
  at::Tensor scales;   // float32 [outputs / 32, inputs / 64, 32]
};

constexpr double kInt8NumberBytes = 1 + 4.0 / 64;  // with its part of a scale

// Of float32 or bfloat16, finite, on the CPU.
Int8Matrix to_int8(const at::Tensor& w_oi);

// How products run: what the processor has best, or, for tests, less.
enum class Int8Kernel { kAvx512Vnni, kAvx2, kPlain };
Int8Kernel best_int8_kernel();

// y = x w' [+ added] in x's type, float32 or bfloat16, rounded once; `added` is [n, o], a bias [o]
// or undefined. What is not finite in x is not in the token's output. No autograd.
at::Tensor linear(const at::Tensor& x_ni, const Int8Matrix& w, const at::Tensor& added,
                  Int8Kernel kernel = best_int8_kernel());

}  // namespace l2a
