// The products of panel.h by AMX, Intel's tiles of 16 x 16 sums (Intel SDM volume 1, chapter 18):
// one instruction does 8,192 multiplications, of AVX-512 BF16 32. Private to this module.
#pragma once

#include "model/panel.h"

namespace l2a {

// Whether this processor has AMX for bfloat16 and the system lets this process use it.
bool has_amx();

// One instruction sums the firsts and the seconds of so many units, and adds both to what is there.
// A product over keys is cut between the shared and the own ones, which come padded to sixteens.
constexpr int64_t kAmxUnits = 8;
static_assert(padded(1) / 2 % kAmxUnits == 0, "a cut would change the order of the sums");

// As multiply(). A row's bits hang on its own numbers only, and not on where its units are cut at
// multiples of kAmxUnits. Subnormal numbers count as zero. Requires has_amx().
void amx_multiply(const LeftPanel<Bf16Pair>& left, const RightPanel<Bf16Pair>& right,
                  const PanelShape& shape, float* out, int64_t out_row, bool add);

}  // namespace l2a
