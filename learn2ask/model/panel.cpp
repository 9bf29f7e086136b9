#include "model/panel.h"

#include <algorithm>
#include <array>
#include <bit>
#include <type_traits>
#include <vector>

#include <immintrin.h>

#include "model/panel_amx.h"

namespace l2a {
namespace {

constexpr int kTileRows = 6;  // 6 x 4 vectors of sums, 4 of the right operand, 1 of the left
constexpr int kTileVectors = 4;

using Vector = float __attribute__((vector_size(64), aligned(4)));

template <int kRows, int kVectors>
[[gnu::always_inline]] inline void float_tile(const LeftPanel<float>& left,
                                              const RightPanel<float>& right, int64_t units,
                                              float* out, int64_t out_row, bool add) {
  Vector sum[kRows][kVectors];
  for (int i = 0; i < kRows; ++i) {
    for (int j = 0; j < kVectors; ++j) {
      sum[i][j] = add ? *reinterpret_cast<Vector*>(out + i * out_row + j * kLanes) : Vector{};
    }
  }
  for (int64_t u = 0; u < units; ++u) {
    const auto* row = reinterpret_cast<const Vector*>(right.data + u * right.row);
    for (int i = 0; i < kRows; ++i) {
      const float factor = left.data[i * left.row + u * left.unit];
      for (int j = 0; j < kVectors; ++j) sum[i][j] += row[j] * factor;
    }
  }
  for (int i = 0; i < kRows; ++i) {
    for (int j = 0; j < kVectors; ++j) {
      *reinterpret_cast<Vector*>(out + i * out_row + j * kLanes) = sum[i][j];
    }
  }
}

template <int kRows, int kVectors>
[[gnu::target("avx512f,avx512bf16")]] void pair_tile(const LeftPanel<Bf16Pair>& left,
                                                     const RightPanel<Bf16Pair>& right,
                                                     int64_t units, float* out, int64_t out_row,
                                                     bool add) {
  __m512 sum[kRows][kVectors];
  for (int i = 0; i < kRows; ++i) {
    for (int j = 0; j < kVectors; ++j) {
      sum[i][j] = add ? _mm512_loadu_ps(out + i * out_row + j * kLanes) : _mm512_setzero_ps();
    }
  }
  for (int64_t u = 0; u < units; ++u) {
    __m512bh row[kVectors];
    for (int j = 0; j < kVectors; ++j) {
      row[j] = (__m512bh)_mm512_loadu_si512(right.data + u * right.row + j * kLanes);
    }
    for (int i = 0; i < kRows; ++i) {
      const auto pair = std::bit_cast<int32_t>(left.data[i * left.row + u * left.unit]);
      const auto factor = (__m512bh)_mm512_set1_epi32(pair);
      for (int j = 0; j < kVectors; ++j) sum[i][j] = _mm512_dpbf16_ps(sum[i][j], factor, row[j]);
    }
  }
  for (int i = 0; i < kRows; ++i) {
    for (int j = 0; j < kVectors; ++j) {
      _mm512_storeu_ps(out + i * out_row + j * kLanes, sum[i][j]);
    }
  }
}

template <int kVectors>
[[gnu::always_inline]] inline void float_rows(const LeftPanel<float>& left,
                                              const RightPanel<float>& right, int64_t rows,
                                              int64_t units, float* out, int64_t out_row,
                                              bool add) {
  if (rows == kTileRows) {
    return float_tile<kTileRows, kVectors>(left, right, units, out, out_row, add);
  }
  for (int64_t i = 0; i < rows; ++i) {
    float_tile<1, kVectors>({left.data + i * left.row, left.row, left.unit}, right, units,
                            out + i * out_row, out_row, add);
  }
}

using PairTile = void (*)(const LeftPanel<Bf16Pair>&, const RightPanel<Bf16Pair>&, int64_t, float*,
                          int64_t, bool);

template <int kRows>
constexpr std::array<PairTile, kTileVectors> kPairTilesOf = {
    pair_tile<kRows, 1>, pair_tile<kRows, 2>, pair_tile<kRows, 3>, pair_tile<kRows, 4>};
constexpr std::array<std::array<PairTile, kTileVectors>, kTileRows> kPairTiles = {
    kPairTilesOf<1>, kPairTilesOf<2>, kPairTilesOf<3>,
    kPairTilesOf<4>, kPairTilesOf<5>, kPairTilesOf<6>};

}  // namespace

bool has_bf16_products() {
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bf16");
}

[[gnu::target_clones("avx512f", "avx2", "default")]] void multiply(const LeftPanel<float>& left,
                                                                   const RightPanel<float>& right,
                                                                   const PanelShape& shape,
                                                                   float* out, int64_t out_row,
                                                                   bool add) {
  for (int64_t j = 0; j < shape.columns; j += kTileVectors * kLanes) {
    const int64_t vectors = std::min<int64_t>((shape.columns - j) / kLanes, kTileVectors);
    for (int64_t i = 0; i < shape.rows; i += kTileRows) {
      const int64_t rows = std::min<int64_t>(shape.rows - i, kTileRows);
      const LeftPanel<float> l{left.data + i * left.row, left.row, left.unit};
      const RightPanel<float> r{right.data + j, right.row};
      float* const o = out + i * out_row + j;
      if (vectors == 4) {
        float_rows<4>(l, r, rows, shape.units, o, out_row, add);
      } else if (vectors == 3) {
        float_rows<3>(l, r, rows, shape.units, o, out_row, add);
      } else if (vectors == 2) {
        float_rows<2>(l, r, rows, shape.units, o, out_row, add);
      } else {
        float_rows<1>(l, r, rows, shape.units, o, out_row, add);
      }
    }
  }
}

void multiply(const LeftPanel<Bf16Pair>& left, const RightPanel<Bf16Pair>& right,
              const PanelShape& shape, float* out, int64_t out_row, bool add) {
  if (has_amx()) return amx_multiply(left, right, shape, out, out_row, add);
  avx512_multiply(left, right, shape, out, out_row, add);
}

void avx512_multiply(const LeftPanel<Bf16Pair>& left, const RightPanel<Bf16Pair>& right,
                     const PanelShape& shape, float* out, int64_t out_row, bool add) {
  for (int64_t j = 0; j < shape.columns; j += kTileVectors * kLanes) {
    const int64_t vectors = std::min<int64_t>((shape.columns - j) / kLanes, kTileVectors);
    for (int64_t i = 0; i < shape.rows; i += kTileRows) {
      const int64_t rows = std::min<int64_t>(shape.rows - i, kTileRows);
      kPairTiles[rows - 1][vectors - 1]({left.data + i * left.row, left.row, left.unit},
                                        {right.data + j, right.row}, shape.units,
                                        out + i * out_row + j, out_row, add);
    }
  }
}

template <class T, class Unit>
void pack_transposed(const T* const* rows, int64_t count, int64_t width, Unit* out) {
  constexpr bool kPairs = std::is_same_v<Unit, Bf16Pair>;
  for (int64_t j = 0; j < count; ++j) {
    for (int64_t u = 0; u < width / (kPairs ? 2 : 1); ++u) {
      Unit& to = out[u * count + j];
      if (!rows[j]) {
        to = Unit{};
      } else if constexpr (kPairs) {
        to = {rows[j][2 * u], rows[j][2 * u + 1]};
      } else {
        to = widen(rows[j][u]);
      }
    }
  }
}

template <class T, class Unit>
void pack_rows(const T* const* rows, int64_t count, int64_t width, Unit* out, int64_t out_row) {
  constexpr bool kPairs = std::is_same_v<Unit, Bf16Pair>;
  const std::vector<T> zeros(static_cast<size_t>(width), T{});
  const auto row = [&](int64_t j) { return j < count && rows[j] ? rows[j] : zeros.data(); };
  for (int64_t j = 0; j < count; j += kPairs ? 2 : 1) {
    const T* const first = row(j);
    if constexpr (kPairs) {
      const T* const second = row(j + 1);
      for (int64_t c = 0; c < width; ++c) out[c] = {first[c], second[c]};
    } else {
      for (int64_t c = 0; c < width; ++c) out[c] = widen(first[c]);
    }
    std::fill(out + width, out + out_row, Unit{});
    out += out_row;
  }
}

template void pack_transposed(const float* const*, int64_t, int64_t, float*);
template void pack_transposed(const BFloat16* const*, int64_t, int64_t, float*);
template void pack_transposed(const BFloat16* const*, int64_t, int64_t, Bf16Pair*);
template void pack_rows(const float* const*, int64_t, int64_t, float*, int64_t);
template void pack_rows(const BFloat16* const*, int64_t, int64_t, float*, int64_t);
template void pack_rows(const BFloat16* const*, int64_t, int64_t, Bf16Pair*, int64_t);

}  // namespace l2a
