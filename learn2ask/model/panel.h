// Small matrix products on one thread, into float32, for attention: the operands are cut and
// laid out by the caller, the scores stay in the cache. Private to this module.
//
// A product runs over units: a unit is one float, or two neighbouring bfloat16 along the inner
// dimension, which AVX-512 BF16 multiplies and adds in one instruction.
#pragma once

#include <cstdint>

#include "model/simd.h"

namespace l2a {

struct Bf16Pair {
  BFloat16 first, second;
};

// Columns of panels come in sixteens.
constexpr int64_t padded(int64_t n) { return (n + kLanes - 1) / kLanes * kLanes; }

// Whether this processor multiplies Bf16Pairs.
bool has_bf16_products();

// Element (i, unit u) of the left operand is data[i * row + u * unit].
template <class Unit>
struct LeftPanel {
  const Unit* data;
  int64_t row, unit;
};
// Element (unit u, j) of the right operand is data[u * row + j].
template <class Unit>
struct RightPanel {
  const Unit* data;
  int64_t row;
};
// The right operand's columns that `multiply` takes side by side: where it has more of them, it
// goes through the left operand again.
template <class Unit>
int64_t widest_strip();

struct PanelShape {
  int64_t rows, columns, units;  // columns: a multiple of 16
};

// out[i * out_row + j] = sum over u of left(i, u) * right(u, j), or += where `add`.
void multiply(const LeftPanel<float>& left, const RightPanel<float>& right, const PanelShape& shape,
              float* out, int64_t out_row, bool add);
void multiply(const LeftPanel<Bf16Pair>& left, const RightPanel<Bf16Pair>& right,
              const PanelShape& shape, float* out, int64_t out_row, bool add);

// The same by one set of instructions, which the processor must have; `multiply` takes the widest.
void avx512_multiply(const LeftPanel<float>& left, const RightPanel<float>& right,
                     const PanelShape& shape, float* out, int64_t out_row, bool add);
void avx2_multiply(const LeftPanel<float>& left, const RightPanel<float>& right,
                   const PanelShape& shape, float* out, int64_t out_row, bool add);
void portable_multiply(const LeftPanel<float>& left, const RightPanel<float>& right,
                       const PanelShape& shape, float* out, int64_t out_row, bool add);
// By AVX-512 BF16, of which AMX takes the place where it is there (panel_amx.h).
void avx512_multiply(const LeftPanel<Bf16Pair>& left, const RightPanel<Bf16Pair>& right,
                     const PanelShape& shape, float* out, int64_t out_row, bool add);

void widen_row(const BFloat16* from, int64_t count, float* to);

// Right operands from `count` rows of `width` numbers; row j starts at rows[j], null is zeros.
// The inner dimension runs along the rows: out is [width / k][count], k numbers a unit.
template <class T, class Unit>
void pack_transposed(const T* const* rows, int64_t count, int64_t width, Unit* out);
// The inner dimension runs across the rows: out is [count / k rounded up][out_row]; columns from
// `width` to `out_row` are zeros.
template <class T, class Unit>
void pack_rows(const T* const* rows, int64_t count, int64_t width, Unit* out, int64_t out_row);

}  // namespace l2a
