#include "model/panel_amx.h"

#include <algorithm>
#include <array>
#include <cstddef>

#include <cpuid.h>
#include <immintrin.h>
#include <sys/syscall.h>
#include <unistd.h>

#define L2A_AMX [[gnu::target("amx-tile,amx-bf16,avx512f")]]

namespace l2a {
namespace {

constexpr int64_t kTile = 16;          // rows of a tile, and sums of a row
constexpr int64_t kChunk = kAmxUnits;  // units that one instruction sums before it adds

bool processor_has_amx() {
  unsigned a = 0, b = 0, c = 0, d = 0;
  if (!__get_cpuid_count(7, 0, &a, &b, &c, &d)) return false;
  constexpr unsigned kBf16 = 1U << 22, kTiles = 1U << 24;
  return (d & kBf16) != 0 && (d & kTiles) != 0 && has_bf16_products();
}

// Linux hands tiles out on demand, once for all threads of a process.
bool ask_for_tiles() {
  constexpr long kRequestPermission = 0x1023, kTileData = 18;
  return syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
}

// GCC's intrinsics do not say that they read memory: what was written for them there, is now.
inline void settle(const void* memory) { asm volatile("" ::"r"(memory) : "memory"); }

// What each of the eight tiles holds; the layout is LDTILECFG's.
struct alignas(64) TileConfig {
  uint8_t palette = 1, start_row = 0;
  std::array<uint8_t, 14> reserved = {};
  std::array<uint16_t, 16> row_bytes = {};
  std::array<uint8_t, 16> rows = {};
};
static_assert(sizeof(TileConfig) == 64);

// Tiles 0 to 3 hold sums, 4 a left operand, 5 and 6 right ones in turn. Empties all tiles.
L2A_AMX void configure(int64_t rows, int64_t units) {
  TileConfig config;
  for (size_t i = 0; i < 7; ++i) {
    config.rows[i] = static_cast<uint8_t>(i < 5 ? rows : units);
    config.row_bytes[i] = static_cast<uint16_t>((i == 4 ? units : kTile) * sizeof(Bf16Pair));
  }
  settle(&config);
  _tile_loadconfig(&config);
}

// out[i][u] = data[u * row + i], zeros outside.
L2A_AMX void transpose(const Bf16Pair* data, int64_t row, int64_t rows, int64_t units,
                       Bf16Pair* out) {
  __m512i a[kTile], b[kTile];
  const auto mask = static_cast<__mmask16>((1U << rows) - 1);
  for (int64_t u = 0; u < kTile; ++u) {
    a[u] = u < units ? _mm512_maskz_loadu_epi32(mask, data + u * row) : _mm512_setzero_si512();
  }
  for (int i = 0; i < kTile; i += 2) {
    b[i] = _mm512_unpacklo_epi32(a[i], a[i + 1]);
    b[i + 1] = _mm512_unpackhi_epi32(a[i], a[i + 1]);
  }
  for (int i = 0; i < kTile; i += 4) {
    for (int half = 0; half < 2; ++half) {
      a[i + 2 * half] = _mm512_unpacklo_epi64(b[i + half], b[i + half + 2]);
      a[i + 2 * half + 1] = _mm512_unpackhi_epi64(b[i + half], b[i + half + 2]);
    }
  }
  for (int i = 0; i < kTile; i += 8) {
    for (int c = i; c < i + 4; ++c) {
      b[c] = _mm512_shuffle_i32x4(a[c], a[c + 4], 0x88);
      b[c + 4] = _mm512_shuffle_i32x4(a[c], a[c + 4], 0xdd);
    }
  }
  for (int c = 0; c < 8; ++c) {
    _mm512_store_si512(out + c * kTile, _mm512_shuffle_i32x4(b[c], b[c + 8], 0x88));
    _mm512_store_si512(out + (c + 8) * kTile, _mm512_shuffle_i32x4(b[c], b[c + 8], 0xdd));
  }
}

L2A_AMX void load_left(const LeftPanel<Bf16Pair>& left, int64_t rows, int64_t units) {
  if (left.unit == 1) {
    _tile_loadd(4, left.data, left.row * sizeof(Bf16Pair));
    return;
  }
  alignas(64) std::array<std::byte, kTile * kTile * sizeof(Bf16Pair)> buffer;
  auto* const turned = reinterpret_cast<Bf16Pair*>(buffer.data());
  transpose(left.data, left.unit, rows, units, turned);
  settle(turned);
  _tile_loadd(4, turned, kTile * sizeof(Bf16Pair));
}

// [rows, 16 kColumns] of out. Tiles are configured for `rows` and for `chunk` units at a time,
// which divide `units`.
template <int kColumns>
L2A_AMX void add_products(LeftPanel<Bf16Pair> left, RightPanel<Bf16Pair> right, int64_t rows,
                          int64_t units, int64_t chunk, float* out, int64_t out_row, bool add) {
  const auto out_bytes = static_cast<size_t>(out_row) * sizeof(float);
  const auto right_bytes = static_cast<size_t>(right.row) * sizeof(Bf16Pair);
  if (add) {
    _tile_loadd(0, out, out_bytes);
    if constexpr (kColumns > 1) _tile_loadd(1, out + kTile, out_bytes);
    if constexpr (kColumns > 2) _tile_loadd(2, out + 2 * kTile, out_bytes);
    if constexpr (kColumns > 3) _tile_loadd(3, out + 3 * kTile, out_bytes);
  } else {
    _tile_zero(0);
    if constexpr (kColumns > 1) _tile_zero(1);
    if constexpr (kColumns > 2) _tile_zero(2);
    if constexpr (kColumns > 3) _tile_zero(3);
  }
  for (int64_t u = 0; u < units; u += chunk) {
    load_left(left, rows, chunk);
    _tile_loadd(5, right.data, right_bytes);
    _tile_dpbf16ps(0, 4, 5);
    if constexpr (kColumns > 1) {
      _tile_loadd(6, right.data + kTile, right_bytes);
      _tile_dpbf16ps(1, 4, 6);
    }
    if constexpr (kColumns > 2) {
      _tile_loadd(5, right.data + 2 * kTile, right_bytes);
      _tile_dpbf16ps(2, 4, 5);
    }
    if constexpr (kColumns > 3) {
      _tile_loadd(6, right.data + 3 * kTile, right_bytes);
      _tile_dpbf16ps(3, 4, 6);
    }
    left.data += chunk * left.unit;
    right.data += chunk * right.row;
  }
  _tile_stored(0, out, out_bytes);
  if constexpr (kColumns > 1) _tile_stored(1, out + kTile, out_bytes);
  if constexpr (kColumns > 2) _tile_stored(2, out + 2 * kTile, out_bytes);
  if constexpr (kColumns > 3) _tile_stored(3, out + 3 * kTile, out_bytes);
}

using AddProducts = void (*)(LeftPanel<Bf16Pair>, RightPanel<Bf16Pair>, int64_t, int64_t, int64_t,
                             float*, int64_t, bool);
constexpr std::array<AddProducts, 4> kAddProducts = {add_products<1>, add_products<2>,
                                                     add_products<3>, add_products<4>};
constexpr int64_t kColumnsAtOnce = static_cast<int64_t>(kAddProducts.size()) * kTile;

// Rows [begin, end), so many units at a time.
L2A_AMX void multiply_rows(const LeftPanel<Bf16Pair>& left, const RightPanel<Bf16Pair>& right,
                           const PanelShape& shape, int64_t begin, int64_t end, int64_t chunk,
                           float* out, int64_t out_row, bool add) {
  if (begin == end) return;
  const int64_t rows = std::min(end - begin, kTile);
  configure(rows, chunk);
  for (int64_t i = begin; i < end; i += rows) {
    const LeftPanel<Bf16Pair> l{left.data + i * left.row, left.row, left.unit};
    for (int64_t j = 0; j < shape.columns; j += kColumnsAtOnce) {
      const int64_t tiles = std::min(shape.columns - j, kColumnsAtOnce) / kTile;
      kAddProducts[static_cast<size_t>(tiles - 1)](l, {right.data + j, right.row}, rows,
                                                   shape.units, chunk, out + i * out_row + j,
                                                   out_row, add);
    }
  }
}

}  // namespace

bool has_amx() {
  static const bool has = processor_has_amx() && ask_for_tiles();
  return has;
}

L2A_AMX void amx_multiply(const LeftPanel<Bf16Pair>& left, const RightPanel<Bf16Pair>& right,
                          const PanelShape& shape, float* out, int64_t out_row, bool add) {
  const int64_t whole_rows = shape.rows / kTile * kTile,
                whole_units = shape.units / kChunk * kChunk;
  if (shape.units == 0 && !add) {
    for (int64_t i = 0; i < shape.rows; ++i) std::fill_n(out + i * out_row, shape.columns, 0.0f);
  }
  for (const auto& [first, units, chunk] :
       {std::array{int64_t{0}, whole_units, kChunk},
        std::array{whole_units, shape.units - whole_units, shape.units - whole_units}}) {
    if (units == 0) continue;
    const LeftPanel<Bf16Pair> l{left.data + first * left.unit, left.row, left.unit};
    const RightPanel<Bf16Pair> r{right.data + first * right.row, right.row};
    const PanelShape part{shape.rows, shape.columns, units};
    const bool adds = add || first > 0;
    multiply_rows(l, r, part, 0, whole_rows, chunk, out, out_row, adds);
    multiply_rows(l, r, part, whole_rows, shape.rows, chunk, out, out_row, adds);
  }
  _tile_release();
}

}  // namespace l2a
