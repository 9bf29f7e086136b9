#include "model/panel_product.h"

#include <algorithm>
#include <type_traits>
#include <vector>

#include <ATen/Parallel.h>
#include <torch/types.h>

#include "base/error.h"
#include "model/panel.h"

namespace l2a {
namespace {

constexpr int64_t kBlockRows = 48, kBlockColumns = 128;
constexpr int64_t kBlockUnits = 256;       // of the inner dimension: AVX2's strip stays in the L1
constexpr int64_t kRunUnits = 4096;        // laid out at a time, of as many columns
constexpr int64_t kPackedBytes = 8 << 20;  // as this holds

// Rows of the left operand or columns of the right one. Number k of line i is data[i * line + k *
// inner]; one of the two strides is 1.
template <class T>
struct Lines {
  const T* data;
  int64_t count, line, inner;
};

template <class T>
Lines<T> lines_of(const at::Tensor& x_ik) {
  return {x_ik.const_data_ptr<T>(), x_ik.size(0), x_ik.stride(0), x_ik.stride(1)};
}

// Products of the rows of one operand, as they lie, with the columns of the other, laid out in
// panels first: a's rows with b's columns or b's columns with a's rows, whichever costs less. The
// sums are the same either way. T: numbers as stored; Unit: what the products run on.
template <class T, class Unit>
class PanelProduct {
 public:
  PanelProduct(const Lines<T>& a, const Lines<T>& b, int64_t inner, const at::Tensor& added,
               at::Tensor& out_mn)
      : a_is_left_(a.count >= kManyRows ||
                   (a.count >= kLanes && (b.count < a.count || inner <= kFewTerms))),
        left_(a_is_left_ ? a : b),
        right_(a_is_left_ ? b : a),
        units_(inner / kPerUnit),
        added_(added.defined() ? added.const_data_ptr<T>() : nullptr),
        added_stride_(added.defined() && added.dim() == 2 ? b.count : 0),
        out_(out_mn.data_ptr<T>()),
        out_columns_(b.count) {}

  void run() {
    if (units_ > kRunUnits) sums_.resize(static_cast<size_t>(left_.count * padded(right_.count)));
    for (int64_t first = 0; first < units_; first += kRunUnits) {
      const Run units{first, std::min(kRunUnits, units_ - first)};
      const int64_t blocks = kPackedBytes / (units.count * sizeof(Unit)) / kBlockColumns;
      const int64_t most = std::max(blocks, int64_t{1}) * kBlockColumns;
      for (int64_t column = 0; column < right_.count; column += most) {
        const Run columns{column, std::min(most, right_.count - column)};
        pack(columns, units);
        multiply_with(columns, units);
      }
    }
  }

 private:
  static constexpr int64_t kPerUnit = std::is_same_v<Unit, Bf16Pair> ? 2 : 1;
  static constexpr int64_t kFewTerms = 64, kManyRows = 256;
  using Number = std::conditional_t<kPerUnit == 2, BFloat16, float>;
  struct Run {
    int64_t first, count;
  };
  struct Buffers {
    std::vector<float> sums = std::vector<float>(kBlockRows * kBlockColumns);
    std::vector<float> left;  // widened
  };

  static int64_t pieces(int64_t count, int64_t size) { return (count + size - 1) / size; }

  // Strips one after the other, each [units][its columns].
  void pack(const Run& columns, const Run& units) {
    const int64_t all = padded(columns.count);
    packed_.resize(static_cast<size_t>(all * units.count));
    at::parallel_for(0, pieces(all, strip_), 1, [&](int64_t begin, int64_t end) {
      for (int64_t j = begin * strip_; j < std::min(end * strip_, all); j += strip_) {
        pack_strip(columns.first + j, std::min(strip_, all - j), units,
                   packed_.data() + j * units.count);
      }
    });
  }

  void pack_strip(int64_t column, int64_t width, const Run& units, Unit* out) const {
    const int64_t count = std::min(width, right_.count - column);
    const int64_t terms = units.count * kPerUnit;
    const T* const from =
        right_.data + column * right_.line + units.first * kPerUnit * right_.inner;
    std::vector<const T*> rows;
    if (right_.inner == 1) {
      for (int64_t j = 0; j < width; ++j) {
        rows.push_back(j < count ? from + j * right_.line : nullptr);
      }
      pack_transposed(rows.data(), width, terms, out);
    } else {
      for (int64_t k = 0; k < terms; ++k) rows.push_back(from + k * right_.inner);
      pack_rows(rows.data(), terms, count, out, width);
    }
  }

  // A block of rows and columns is one piece of work, whichever thread takes it.
  void multiply_with(const Run& columns, const Run& units) {
    const int64_t across = pieces(columns.count, kBlockColumns);
    at::parallel_for(0, pieces(left_.count, kBlockRows) * across, 1,
                     [&](int64_t begin, int64_t end) {
                       Buffers buffers;
                       for (int64_t piece = begin; piece < end; ++piece) {
                         const int64_t row = piece / across * kBlockRows;
                         const int64_t column = piece % across * kBlockColumns;
                         multiply_block({row, std::min(kBlockRows, left_.count - row)},
                                        {column, std::min(kBlockColumns, columns.count - column)},
                                        columns.first, units, buffers);
                       }
                     });
  }

  // `columns` are counted from `first_column`, where what is packed begins.
  void multiply_block(const Run& rows, const Run& columns, int64_t first_column, const Run& units,
                      Buffers& buffers) {
    const bool in_runs = units_ > kRunUnits;
    const int64_t column = first_column + columns.first;
    const int64_t out_row = in_runs ? padded(right_.count) : kBlockColumns;
    float* const sums =
        in_runs ? sums_.data() + rows.first * out_row + column : buffers.sums.data();
    for (int64_t u = 0; u < units.count; u += kBlockUnits) {
      const int64_t count = std::min(kBlockUnits, units.count - u);
      const auto left = left_panel(rows, {units.first + u, count}, buffers.left);
      const int64_t all = padded(columns.count);
      for (int64_t j = 0; j < all; j += strip_) {
        const int64_t width = std::min(strip_, all - j);
        multiply(left, {packed_.data() + (columns.first + j) * units.count + u * width, width},
                 {rows.count, width, count}, sums + j, out_row, units.first + u > 0);
      }
    }
    if (units.first + units.count < units_) return;
    if (a_is_left_) {
      for (int64_t r = 0; r < rows.count; ++r) {
        store(rows.first + r, {column, columns.count},
              [&](int64_t c) { return sums[r * out_row + c]; });
      }
    } else {
      for (int64_t c = 0; c < columns.count; ++c) {
        store(column + c, rows, [&](int64_t r) { return sums[r * out_row + c]; });
      }
    }
  }

  LeftPanel<Unit> left_panel(const Run& rows, const Run& units, std::vector<float>& wide) const {
    const T* const from =
        left_.data + rows.first * left_.line + units.first * kPerUnit * left_.inner;
    if constexpr (std::is_same_v<T, Number>) {
      return {reinterpret_cast<const Unit*>(from), left_.line / kPerUnit, left_.inner};
    } else {
      wide.resize(static_cast<size_t>(kBlockRows * kBlockUnits));
      if (left_.inner == 1) {
        for (int64_t r = 0; r < rows.count; ++r) {
          widen_row(from + r * left_.line, units.count, wide.data() + r * kBlockUnits);
        }
        return {wide.data(), kBlockUnits, 1};
      }
      for (int64_t u = 0; u < units.count; ++u) {
        widen_row(from + u * left_.inner, rows.count, wide.data() + u * kBlockRows);
      }
      return {wide.data(), 1, kBlockRows};
    }
  }

  // `entries` of a row of the product.
  template <class Sum>
  void store(int64_t row, const Run& entries, const Sum& sum) const {
    T* const out = out_ + row * out_columns_ + entries.first;
    if (added_) {
      const T* const add = added_ + row * added_stride_ + entries.first;
      for (int64_t i = 0; i < entries.count; ++i) narrow(sum(i) + widen(add[i]), out[i]);
    } else {
      for (int64_t i = 0; i < entries.count; ++i) narrow(sum(i), out[i]);
    }
  }

  bool a_is_left_;
  Lines<T> left_, right_;
  int64_t units_;
  const T* added_;
  int64_t added_stride_;
  T* out_;
  int64_t out_columns_;
  const int64_t strip_ = widest_strip<Unit>();
  std::vector<Unit> packed_;
  std::vector<float> sums_;  // [left lines, right lines], where the units come in runs
};

// Lines that lie one after the other, number by number or line by line.
at::Tensor dense(const at::Tensor& x_ik) {
  const bool transposed = x_ik.stride(0) == 1 && x_ik.stride(1) == x_ik.size(0);
  return transposed ? x_ik : x_ik.contiguous();
}

template <class T, class Unit>
void run(const at::Tensor& a_mk, const at::Tensor& b_nk, const at::Tensor& added,
         at::Tensor& out_mn) {
  PanelProduct<T, Unit>(lines_of<T>(a_mk), lines_of<T>(b_nk), a_mk.size(1), added, out_mn).run();
}

}  // namespace

void panel_product(const at::Tensor& a_mk, const at::Tensor& b_kn, const at::Tensor& added,
                   at::Tensor& out_mn) {
  check(a_mk.is_cpu(), "product: by panels on the CPU only");
  const auto plus = added.defined() ? added.contiguous() : added;
  if (a_mk.scalar_type() == at::kFloat) {
    run<float, float>(dense(a_mk), dense(b_kn.t()), plus, out_mn);
  } else if (!has_bf16_products()) {
    run<BFloat16, float>(dense(a_mk), dense(b_kn.t()), plus, out_mn);
  } else {  // pairs of neighbours: an even count of them
    const auto pairs = [](const at::Tensor& x_ik) {
      return (x_ik.size(1) % 2 == 0 ? x_ik : at::constant_pad_nd(x_ik, {0, 1})).contiguous();
    };
    run<BFloat16, Bf16Pair>(pairs(a_mk), pairs(b_kn.t()), plus, out_mn);
  }
}

}  // namespace l2a
