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

using Floats4 = float __attribute__((vector_size(16), aligned(4)));
using Floats8 = float __attribute__((vector_size(32), aligned(4)));
using Floats16 = float __attribute__((vector_size(64), aligned(4)));

template <class V, int kRows, int kVectors>
[[gnu::always_inline]] inline void float_tile(const LeftPanel<float>& left,
                                              const RightPanel<float>& right, int64_t units,
                                              float* out, int64_t out_row, bool add) {
  constexpr int64_t kWidth = sizeof(V) / sizeof(float);
  V sum[kRows][kVectors];
  for (int i = 0; i < kRows; ++i) {
    for (int j = 0; j < kVectors; ++j) {
      sum[i][j] = add ? *reinterpret_cast<V*>(out + i * out_row + j * kWidth) : V{};
    }
  }
  const float* from = left.data;
  for (int64_t u = 0; u < units; ++u, from += left.unit) {
    const auto* row = reinterpret_cast<const V*>(right.data + u * right.row);
    for (int i = 0; i < kRows; ++i) {
      const float factor = from[i * left.row];
      for (int j = 0; j < kVectors; ++j) sum[i][j] += row[j] * factor;
    }
  }
  for (int i = 0; i < kRows; ++i) {
    for (int j = 0; j < kVectors; ++j) {
      *reinterpret_cast<V*>(out + i * out_row + j * kWidth) = sum[i][j];
    }
  }
}

// `rows` is a multiple of kRows. Columns that are too few for kVectors take half as many.
template <class V, int kRows, int kVectors>
[[gnu::always_inline]] inline void float_tiles(const LeftPanel<float>& left,
                                               const RightPanel<float>& right, int64_t rows,
                                               int64_t columns, int64_t units, float* out,
                                               int64_t out_row, bool add) {
  constexpr int64_t kWidth = kVectors * sizeof(V) / sizeof(float);
  int64_t j = 0;
  for (; j + kWidth <= columns; j += kWidth) {
    for (int64_t i = 0; i < rows; i += kRows) {
      float_tile<V, kRows, kVectors>({left.data + i * left.row, left.row, left.unit},
                                     {right.data + j, right.row}, units, out + i * out_row + j,
                                     out_row, add);
    }
  }
  if constexpr (kWidth > kLanes) {
    float_tiles<V, kRows, kVectors / 2>(left, {right.data + j, right.row}, rows, columns - j, units,
                                        out + j, out_row, add);
  }
}

// Vectors side by side with six rows, two rows and one, as the registers hold their sums.
template <class V, int kWithSix, int kWithTwo, int kWithOne>
[[gnu::always_inline]] inline void float_product(const LeftPanel<float>& left,
                                                 const RightPanel<float>& right,
                                                 const PanelShape& shape, float* out,
                                                 int64_t out_row, bool add) {
  const int64_t sixes = shape.rows / kTileRows * kTileRows;
  float_tiles<V, kTileRows, kWithSix>(left, right, sixes, shape.columns, shape.units, out, out_row,
                                      add);
  const LeftPanel<float> rest{left.data + sixes * left.row, left.row, left.unit};
  float* const to = out + sixes * out_row;
  const auto tiles = [&]<int kRows, int kVectors>() [[gnu::always_inline]] {
    float_tiles<V, kRows, kVectors>(rest, right, kRows, shape.columns, shape.units, to, out_row,
                                    add);
  };
  switch (shape.rows - sixes) {
    case 1:
      return tiles.template operator()<1, kWithOne>();
    case 2:
      return tiles.template operator()<2, kWithTwo>();
    case 3:
      return tiles.template operator()<3, kWithSix>();
    case 4:
      return tiles.template operator()<4, kWithSix>();
    case 5:
      return tiles.template operator()<5, kWithSix>();
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

using PairTile = void (*)(const LeftPanel<Bf16Pair>&, const RightPanel<Bf16Pair>&, int64_t, float*,
                          int64_t, bool);

template <int kRows>
constexpr std::array<PairTile, kTileVectors> kPairTilesOf = {
    pair_tile<kRows, 1>, pair_tile<kRows, 2>, pair_tile<kRows, 3>, pair_tile<kRows, 4>};
constexpr std::array<std::array<PairTile, kTileVectors>, kTileRows> kPairTiles = {
    kPairTilesOf<1>, kPairTilesOf<2>, kPairTilesOf<3>,
    kPairTilesOf<4>, kPairTilesOf<5>, kPairTilesOf<6>};

const bool kHasAvx512 = __builtin_cpu_supports("avx512f");
const bool kHasAvx2 = has_avx2();

}  // namespace

bool has_bf16_products() {
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bf16");
}

template <>
int64_t widest_strip<float>() {
  return kHasAvx512 ? kTileVectors * kLanes : kLanes;
}
template <>
int64_t widest_strip<Bf16Pair>() {
  return kTileVectors * kLanes;
}

[[gnu::target("avx512f")]] void avx512_multiply(const LeftPanel<float>& left,
                                                const RightPanel<float>& right,
                                                const PanelShape& shape, float* out,
                                                int64_t out_row, bool add) {
  float_product<Floats16, 4, 4, 4>(left, right, shape, out, out_row, add);
}

[[gnu::target("avx2,fma")]] void avx2_multiply(const LeftPanel<float>& left,
                                               const RightPanel<float>& right,
                                               const PanelShape& shape, float* out, int64_t out_row,
                                               bool add) {
  float_product<Floats8, 2, 4, 8>(left, right, shape, out, out_row, add);
}

void portable_multiply(const LeftPanel<float>& left, const RightPanel<float>& right,
                       const PanelShape& shape, float* out, int64_t out_row, bool add) {
  float_product<Floats4, 4, 4, 4>(left, right, shape, out, out_row, add);
}

void multiply(const LeftPanel<float>& left, const RightPanel<float>& right, const PanelShape& shape,
              float* out, int64_t out_row, bool add) {
  if (kHasAvx512) return avx512_multiply(left, right, shape, out, out_row, add);
  if (kHasAvx2) return avx2_multiply(left, right, shape, out, out_row, add);
  portable_multiply(left, right, shape, out, out_row, add);
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

[[gnu::target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")]] void widen_row(
    const BFloat16* from, int64_t count, float* to) {
  for (int64_t i = 0; i < count; ++i) to[i] = widen(from[i]);
}

template <class T, class Unit>
void pack_transposed(const T* const* rows, int64_t count, int64_t width, Unit* out) {
  constexpr bool kPairs = std::is_same_v<Unit, Bf16Pair>;
  const std::vector<T> zeros(static_cast<size_t>(width), T{});
  std::vector<const T*> from;
  for (int64_t j = 0; j < count; ++j) from.push_back(rows[j] ? rows[j] : zeros.data());
  for (int64_t u = 0; u < width / (kPairs ? 2 : 1); ++u) {
    for (int64_t j = 0; j < count; ++j) {
      if constexpr (kPairs) {
        *out++ = {from[j][2 * u], from[j][2 * u + 1]};
      } else {
        *out++ = widen(from[j][u]);
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
