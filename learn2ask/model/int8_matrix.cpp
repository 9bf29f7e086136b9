#include "model/int8_matrix.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <type_traits>

#include <ATen/Parallel.h>
#include <immintrin.h>
#include <torch/types.h>

#include "base/error.h"
#include "model/simd.h"

namespace l2a {
namespace {

constexpr int64_t kGroup = 64;           // inputs that share a scale
constexpr int64_t kPanel = 32;           // outputs that lie side by side
constexpr int64_t kFour = 4;             // inputs that one instruction multiplies and adds
constexpr int64_t kTileTokens = 6;       // x 2 vectors of whole sums, as many of scaled ones
constexpr int64_t kTokensAtATime = 192;  // whose numbers stay in the cache over all panels
constexpr int64_t kGroupBytes = kPanel * kGroup;

constexpr int64_t round_up(int64_t n, int64_t to) { return (n + to - 1) / to * to; }

// Rows of whole numbers: those of tokens, or of weights before they are laid out.
struct Int8Rows {
  Int8Rows(int64_t rows, int64_t inputs)
      : groups(round_up(inputs, kGroup) / kGroup),
        numbers(at::empty({rows, groups * kGroup}, at::kChar)),
        scales(at::empty({rows, groups}, at::kFloat)),
        sums(at::empty({rows, groups}, at::kInt)) {}

  int64_t groups;
  at::Tensor numbers, scales, sums;  // the sum of each group's numbers
};

template <class T>
using BitsOf = std::conditional_t<std::is_same_v<T, float>, uint32_t, uint16_t>;

// One group. Magnitudes are compared as whole numbers, which vectorises, and puts NaN above all.
template <class T>
[[gnu::always_inline]] inline void quantize_group(const T* x, int8_t* out, float& scale,
                                                  int32_t& sum) {
  using Bits = BitsOf<T>;
  Bits most = 0;
  for (int64_t j = 0; j < kGroup; ++j) {
    const Bits magnitude = static_cast<Bits>(std::bit_cast<Bits>(x[j]) & (Bits(-1) >> 1));
    most = magnitude > most ? magnitude : most;
  }
  const float largest = widen(std::bit_cast<T>(most));
  const float factor = largest < 1e-30f ? 0 : 127 / largest;
  scale = largest < 1e-30f ? 0 : largest / 127;
  constexpr float kRound = 12582912;  // 1.5 * 2^23: the sum's low bits are the rounded number
  int32_t all = 0;
  for (int64_t j = 0; j < kGroup; ++j) {
    const auto number = static_cast<int32_t>(
        std::bit_cast<uint32_t>(widen(x[j]) * factor + kRound) - std::bit_cast<uint32_t>(kRound));
    out[j] = static_cast<int8_t>(number);
    all += out[j];
  }
  sum = all;
}

template <class T>
[[gnu::always_inline]] inline void quantize_groups(const T* x, int64_t inputs, int8_t* numbers,
                                                   float* scales, int32_t* sums) {
  int64_t g = 0;
  for (; (g + 1) * kGroup <= inputs; ++g) {
    quantize_group(x + g * kGroup, numbers + g * kGroup, scales[g], sums[g]);
  }
  if (g * kGroup == inputs) return;
  T rest[kGroup] = {};
  std::copy(x + g * kGroup, x + inputs, rest);
  quantize_group(rest, numbers + g * kGroup, scales[g], sums[g]);
}

#define L2A_CLONES [[gnu::target_clones("arch=x86-64-v4", "avx2", "default")]]

L2A_CLONES void quantize_row(const float* x, int64_t inputs, int8_t* numbers, float* scales,
                             int32_t* sums) {
  quantize_groups(x, inputs, numbers, scales, sums);
}
L2A_CLONES void quantize_row(const BFloat16* x, int64_t inputs, int8_t* numbers, float* scales,
                             int32_t* sums) {
  quantize_groups(x, inputs, numbers, scales, sums);
}

template <class T>
Int8Rows quantize_rows(const at::Tensor& x_ni) {
  const int64_t n = x_ni.size(0), inputs = x_ni.size(1);
  Int8Rows rows(n, inputs);
  at::parallel_for(0, n, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      quantize_row(x_ni.const_data_ptr<T>() + i * inputs, inputs,
                   rows.numbers.data_ptr<int8_t>() + i * rows.groups * kGroup,
                   rows.scales.data_ptr<float>() + i * rows.groups,
                   rows.sums.data_ptr<int32_t>() + i * rows.groups);
    }
  });
  return rows;
}

// Products of some tokens with a panel of outputs.
struct Tile {
  // Of the first token; the next ones follow.
  const int8_t* x;
  const float* x_scales;
  const int32_t* x_sums;
  const uint8_t* w;
  const float* w_scales;
  int64_t groups;
  float* out;  // [tokens, kPanel]

  // Four numbers of a token.
  int32_t four(int64_t token, int64_t input) const {
    int32_t bytes;
    std::memcpy(&bytes, x + token * groups * kGroup + input, sizeof(bytes));
    return bytes;
  }
};

// GCC 12 takes _mm512_cvtepi32_ps() for uninitialised (its bug 105593).
[[gnu::target("avx512f")]] inline __m512 to_float(__m512i x) {
  using Ints = int32_t __attribute__((vector_size(64)));
  return __builtin_convertvector(std::bit_cast<Ints>(x), __m512);
}

// The weights' numbers are 128 too large, which the instruction wants unsigned: 128 times the sum
// of the token's is what the products come to too much.
template <int kTokens>
[[gnu::target("avx512f,avx512vnni")]] void vnni_tile(const Tile& t) {
  __m512 out[kTokens][2];
  for (auto& token : out) token[0] = token[1] = _mm512_setzero_ps();
  for (int64_t g = 0; g < t.groups; ++g) {
    __m512i sum[kTokens][2];
    for (int i = 0; i < kTokens; ++i) {
      sum[i][0] = sum[i][1] = _mm512_set1_epi32(-128 * t.x_sums[i * t.groups + g]);
    }
    for (int64_t k = 0; k < kGroup; k += kFour) {
      const uint8_t* const w = t.w + g * kGroupBytes + k * kPanel;
      const __m512i left = _mm512_loadu_si512(w), right = _mm512_loadu_si512(w + 64);
      for (int i = 0; i < kTokens; ++i) {
        const __m512i x = _mm512_set1_epi32(t.four(i, g * kGroup + k));
        sum[i][0] = _mm512_dpbusd_epi32(sum[i][0], left, x);
        sum[i][1] = _mm512_dpbusd_epi32(sum[i][1], right, x);
      }
    }
    const __m512 left = _mm512_loadu_ps(t.w_scales + g * kPanel);
    const __m512 right = _mm512_loadu_ps(t.w_scales + g * kPanel + kLanes);
    for (int i = 0; i < kTokens; ++i) {
      const __m512 x = _mm512_set1_ps(t.x_scales[i * t.groups + g]);
      out[i][0] = _mm512_fmadd_ps(to_float(sum[i][0]), left * x, out[i][0]);
      out[i][1] = _mm512_fmadd_ps(to_float(sum[i][1]), right * x, out[i][1]);
    }
  }
  for (int i = 0; i < kTokens; ++i) {
    _mm512_storeu_ps(t.out + i * kPanel, out[i][0]);
    _mm512_storeu_ps(t.out + i * kPanel + kLanes, out[i][1]);
  }
}

// One token. No number is -128, so that no sum of two products leaves 16 bits.
[[gnu::target("avx2,fma")]] void avx2_tile(const Tile& t) {
  constexpr int kVectors = 4;
  const __m256i ones = _mm256_set1_epi16(1), middle = _mm256_set1_epi8(-128);
  __m256 out[kVectors];
  for (__m256& o : out) o = _mm256_setzero_ps();
  for (int64_t g = 0; g < t.groups; ++g) {
    __m256i sum[kVectors];
    for (__m256i& s : sum) s = _mm256_setzero_si256();
    for (int64_t k = 0; k < kGroup; k += kFour) {
      const auto* const w = reinterpret_cast<const __m256i*>(t.w + g * kGroupBytes + k * kPanel);
      const __m256i x = _mm256_set1_epi32(t.four(0, g * kGroup + k));
      const __m256i magnitude = _mm256_abs_epi8(x);
      for (int v = 0; v < kVectors; ++v) {
        const __m256i number = _mm256_xor_si256(_mm256_loadu_si256(w + v), middle);
        const __m256i pairs = _mm256_maddubs_epi16(magnitude, _mm256_sign_epi8(number, x));
        sum[v] = _mm256_add_epi32(sum[v], _mm256_madd_epi16(pairs, ones));
      }
    }
    const __m256 x = _mm256_set1_ps(t.x_scales[g]);
    for (int v = 0; v < kVectors; ++v) {
      const __m256 scale = _mm256_loadu_ps(t.w_scales + g * kPanel + 8 * v) * x;
      out[v] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(sum[v]), scale, out[v]);
    }
  }
  for (int v = 0; v < kVectors; ++v) _mm256_storeu_ps(t.out + 8 * v, out[v]);
}

// One token.
void plain_tile(const Tile& t) {
  std::fill(t.out, t.out + kPanel, 0.0f);
  for (int64_t g = 0; g < t.groups; ++g) {
    std::array<int32_t, kPanel> sum{};
    for (int64_t j = 0; j < kGroup; ++j) {
      const uint8_t* const w = t.w + g * kGroupBytes + j / kFour * kFour * kPanel + j % kFour;
      for (int64_t o = 0; o < kPanel; ++o) sum[o] += (w[o * kFour] - 128) * t.x[g * kGroup + j];
    }
    for (int64_t o = 0; o < kPanel; ++o) {
      t.out[o] += static_cast<float>(sum[o]) * (t.w_scales[g * kPanel + o] * t.x_scales[g]);
    }
  }
}

using TileProduct = void (*)(const Tile&);
constexpr std::array<TileProduct, kTileTokens> kVnniTiles = {
    vnni_tile<1>, vnni_tile<2>, vnni_tile<3>, vnni_tile<4>, vnni_tile<5>, vnni_tile<6>};

void multiply(Int8Kernel kernel, const Tile& tile, int64_t tokens) {
  if (kernel == Int8Kernel::kAvx512Vnni) return kVnniTiles[tokens - 1](tile);
  for (int64_t i = 0; i < tokens; ++i) {
    Tile one = tile;
    one.x += i * tile.groups * kGroup;
    one.x_scales += i * tile.groups;
    one.out += i * kPanel;
    kernel == Int8Kernel::kAvx2 ? avx2_tile(one) : plain_tile(one);
  }
}

// What is added to products, and where they go, of one token.
template <class T>
[[gnu::always_inline]] inline void store_outputs(const float* sums, const T* added, int64_t count,
                                                 T* y) {
  if (added) {
    for (int64_t o = 0; o < count; ++o) narrow(sums[o] + widen(added[o]), y[o]);
  } else {
    for (int64_t o = 0; o < count; ++o) narrow(sums[o], y[o]);
  }
}
L2A_CLONES void store(const float* sums, const float* added, int64_t count, float* y) {
  store_outputs(sums, added, count, y);
}
L2A_CLONES void store(const float* sums, const BFloat16* added, int64_t count, BFloat16* y) {
  store_outputs(sums, added, count, y);
}

template <class T>
void multiply(const Int8Rows& x, const Int8Matrix& w, const at::Tensor& added, Int8Kernel kernel,
              at::Tensor& y_no) {
  const int64_t n = y_no.size(0), panels = w.scales.size(0);
  const T* const add = added.defined() ? added.const_data_ptr<T>() : nullptr;
  const int64_t add_row = added.defined() && added.dim() == 2 ? w.outputs : 0;
  T* const y = y_no.data_ptr<T>();
  // Taken once: a tensor checks itself each time it is asked.
  const int8_t* const numbers = x.numbers.const_data_ptr<int8_t>();
  const float* const scales = x.scales.const_data_ptr<float>();
  const int32_t* const sums = x.sums.const_data_ptr<int32_t>();
  const uint8_t* const w_numbers = w.numbers.const_data_ptr<uint8_t>();
  const float* const w_scales = w.scales.const_data_ptr<float>();
  const auto run = [&](int64_t token, int64_t tokens, int64_t panel) {
    std::array<float, kTileTokens * kPanel> out;
    multiply(kernel,
             {numbers + token * x.groups * kGroup, scales + token * x.groups,
              sums + token * x.groups, w_numbers + panel * x.groups * kGroupBytes,
              w_scales + panel * x.groups * kPanel, x.groups, out.data()},
             tokens);
    const int64_t first = panel * kPanel, count = std::min(kPanel, w.outputs - first);
    for (int64_t i = 0; i < tokens; ++i) {
      store(out.data() + i * kPanel, add ? add + (token + i) * add_row + first : nullptr, count,
            y + (token + i) * w.outputs + first);
    }
  };
  const int64_t blocks = (n + kTokensAtATime - 1) / kTokensAtATime;
  at::parallel_for(0, blocks * panels, 1, [&](int64_t begin, int64_t end) {
    for (int64_t piece = begin; piece < end; ++piece) {
      const int64_t block = piece / panels * kTokensAtATime;
      const int64_t last = std::min(block + kTokensAtATime, n);
      for (int64_t token = block; token < last; token += kTileTokens) {
        run(token, std::min(kTileTokens, last - token), piece % panels);
      }
    }
  });
}

template <class T>
at::Tensor linear_of(const at::Tensor& x_ni, const Int8Matrix& w, const at::Tensor& added,
                     Int8Kernel kernel) {
  at::Tensor y_no = at::empty({x_ni.size(0), w.outputs}, x_ni.options());
  multiply<T>(quantize_rows<T>(x_ni.contiguous()), w, added.defined() ? added.contiguous() : added,
              kernel, y_no);
  return y_no;
}

}  // namespace

Int8Kernel best_int8_kernel() {
  static const Int8Kernel kBest = [] {
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vnni")) {
      return Int8Kernel::kAvx512Vnni;
    }
    return has_avx2() ? Int8Kernel::kAvx2 : Int8Kernel::kPlain;
  }();
  return kBest;
}

// numbers: [panel][group][input / 4][output of the panel][4 inputs].
Int8Matrix to_int8(const at::Tensor& w_oi) {
  check(w_oi.is_cpu() && w_oi.dim() == 2, "int8: a matrix on the CPU");
  const auto w = w_oi.contiguous();
  const Int8Rows rows =
      w.scalar_type() == at::kFloat ? quantize_rows<float>(w) : quantize_rows<BFloat16>(w);
  const int64_t outputs = w.size(0), panels = round_up(outputs, kPanel) / kPanel;
  Int8Matrix out{outputs, w.size(1),
                 at::full({panels, rows.groups, kGroup / kFour, kPanel, kFour}, 128, at::kByte),
                 at::zeros({panels, rows.groups, kPanel}, at::kFloat)};
  const auto* const numbers = rows.numbers.const_data_ptr<int8_t>();
  const auto* const scales = rows.scales.const_data_ptr<float>();
  at::parallel_for(0, outputs, 1, [&](int64_t begin, int64_t end) {
    for (int64_t o = begin; o < end; ++o) {
      for (int64_t g = 0; g < rows.groups; ++g) {
        const int64_t group = o / kPanel * rows.groups + g;
        const int8_t* const from = numbers + (o * rows.groups + g) * kGroup;
        uint8_t* const to = out.numbers.data_ptr<uint8_t>() + group * kGroupBytes;
        for (int64_t j = 0; j < kGroup; ++j) {
          to[(j / kFour * kPanel + o % kPanel) * kFour + j % kFour] =
              static_cast<uint8_t>(from[j] + 128);
        }
        out.scales.data_ptr<float>()[group * kPanel + o % kPanel] = scales[o * rows.groups + g];
      }
    }
  });
  return out;
}

at::Tensor linear(const at::Tensor& x_ni, const Int8Matrix& w, const at::Tensor& added,
                  Int8Kernel kernel) {
  check(x_ni.is_cpu() && x_ni.size(1) == w.inputs, "int8: rows of as many numbers as the matrix");
  return x_ni.scalar_type() == at::kFloat ? linear_of<float>(x_ni, w, added, kernel)
                                          : linear_of<BFloat16>(x_ni, w, added, kernel);
}

}  // namespace l2a
