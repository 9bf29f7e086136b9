#include "model/linear.h"

#include <algorithm>
#include <type_traits>
#include <vector>

#include <ATen/Parallel.h>
#include <torch/types.h>

#include "base/error.h"
#include "model/panel.h"

namespace l2a {
namespace {

constexpr int64_t kPanelColumns = 64;  // as many as multiply() takes side by side
constexpr int64_t kBlockRows = 48;

// x w' as products of rows that lie as they are with columns that are laid out in panels first:
// tokens are the columns, or outputs, whichever costs less. The sums are the same either way. T:
// numbers as stored; Unit: what the products run on.
template <class T, class Unit>
class BatchInvariant {
 public:
  BatchInvariant(const at::Tensor& x_ni, const at::Tensor& w_oi, const at::Tensor& added,
                 at::Tensor& y_no)
      : n_(x_ni.size(0)),
        i_(x_ni.size(1)),
        o_(w_oi.size(0)),
        tokens_are_rows_(n_ >= kManyTokens || (n_ >= kLanes && (o_ < n_ || i_ <= kFewInputs))),
        rows_(tokens_are_rows_ ? n_ : o_),
        columns_(tokens_are_rows_ ? o_ : n_),
        left_((tokens_are_rows_ ? x_ni : w_oi).const_data_ptr<T>()),
        added_(added.defined() ? added.const_data_ptr<T>() : nullptr),
        added_stride_(added.defined() && added.dim() == 2 ? o_ : 0),
        y_(y_no.data_ptr<T>()) {
    pack((tokens_are_rows_ ? w_oi : x_ni).const_data_ptr<T>());
  }

  // A block of rows of a panel is one piece of work, whichever thread takes it.
  void run() const {
    const int64_t blocks = (rows_ + kBlockRows - 1) / kBlockRows;
    at::parallel_for(0, blocks * panels(), 1, [&](int64_t begin, int64_t end) {
      std::vector<float> sums(kBlockRows * kPanelColumns);
      std::vector<Number> wide;
      for (int64_t piece = begin; piece < end; ++piece) {
        run_piece(piece / panels() * kBlockRows, piece % panels() * kPanelColumns, sums, wide);
      }
    });
  }

 private:
  static constexpr int64_t kPerUnit = std::is_same_v<Unit, Bf16Pair> ? 2 : 1;
  static constexpr int64_t kFewInputs = 64, kManyTokens = 256;
  using Number = std::conditional_t<kPerUnit == 2, BFloat16, float>;

  int64_t units() const { return i_ / kPerUnit; }
  int64_t panels() const { return (columns_ + kPanelColumns - 1) / kPanelColumns; }

  // Panels one after the other, each [units][its columns, padded].
  void pack(const T* from) {
    const int64_t all = padded(columns_);
    std::vector<const T*> columns(static_cast<size_t>(all), nullptr);
    for (int64_t j = 0; j < columns_; ++j) columns[j] = from + j * i_;
    panels_.resize(static_cast<size_t>(all * units()));
    at::parallel_for(0, panels(), 1, [&](int64_t begin, int64_t end) {
      for (int64_t j = begin * kPanelColumns; j < std::min(end * kPanelColumns, all);
           j += kPanelColumns) {
        pack_transposed(columns.data() + j, std::min(kPanelColumns, all - j), i_,
                        panels_.data() + j * units());
      }
    });
  }

  const Unit* left_operand(int64_t row, int64_t count, std::vector<Number>& wide) const {
    const T* const rows = left_ + row * i_;
    if constexpr (std::is_same_v<T, Number>) return reinterpret_cast<const Unit*>(rows);
    wide.resize(static_cast<size_t>(count * i_));
    for (size_t j = 0; j < wide.size(); ++j) narrow(widen(rows[j]), wide[j]);
    return reinterpret_cast<const Unit*>(wide.data());
  }

  void run_piece(int64_t row, int64_t column, std::vector<float>& sums,
                 std::vector<Number>& wide) const {
    const int64_t rows = std::min(kBlockRows, rows_ - row);
    const int64_t padded_columns = std::min(kPanelColumns, padded(columns_) - column);
    multiply({left_operand(row, rows, wide), units(), 1},
             {panels_.data() + column * units(), padded_columns}, {rows, padded_columns, units()},
             sums.data(), kPanelColumns, false);
    const int64_t columns = std::min(padded_columns, columns_ - column);
    const float* const sum = sums.data();
    if (tokens_are_rows_) {
      for (int64_t r = 0; r < rows; ++r) {
        store(row + r, column, columns, [&](int64_t c) { return sum[r * kPanelColumns + c]; });
      }
    } else {
      for (int64_t c = 0; c < columns; ++c) {
        store(column + c, row, rows, [&](int64_t r) { return sum[r * kPanelColumns + c]; });
      }
    }
  }

  // Outputs [first, first + count) of a token.
  template <class Sum>
  void store(int64_t token, int64_t first, int64_t count, const Sum& sum) const {
    T* const y = y_ + token * o_ + first;
    if (added_) {
      const T* const add = added_ + token * added_stride_ + first;
      for (int64_t i = 0; i < count; ++i) narrow(sum(i) + widen(add[i]), y[i]);
    } else {
      for (int64_t i = 0; i < count; ++i) narrow(sum(i), y[i]);
    }
  }

  int64_t n_, i_, o_;
  bool tokens_are_rows_;
  int64_t rows_, columns_;
  const T *left_, *added_;
  int64_t added_stride_;
  T* y_;
  std::vector<Unit> panels_;
};

// y may be `added` itself: each number is read before it is written.
void run_batch_invariant(const at::Tensor& x_ni, const at::Tensor& w_oi, const at::Tensor& added,
                         at::Tensor& y_no) {
  check(x_ni.is_cpu(), "linear: batch-invariant products on the CPU only");
  // Pairs of numbers need an even count of them.
  if (x_ni.scalar_type() == at::kBFloat16 && x_ni.size(1) % 2 != 0) {
    return run_batch_invariant(at::constant_pad_nd(x_ni, {0, 1}), at::constant_pad_nd(w_oi, {0, 1}),
                               added, y_no);
  }
  const auto x = x_ni.contiguous(), w = w_oi.contiguous();
  const auto plus = added.defined() ? added.contiguous() : added;
  if (x.scalar_type() == at::kFloat) {
    BatchInvariant<float, float>(x, w, plus, y_no).run();
  } else if (has_bf16_products()) {
    BatchInvariant<BFloat16, Bf16Pair>(x, w, plus, y_no).run();
  } else {
    BatchInvariant<BFloat16, float>(x, w, plus, y_no).run();
  }
}

}  // namespace

at::Tensor linear(const at::Tensor& x_ni, const at::Tensor& w_oi, const at::Tensor& added,
                  Products products) {
  if (products == Products::kOfLibrary) {
    return added.defined() ? at::addmm(added, x_ni, w_oi.t()) : at::mm(x_ni, w_oi.t());
  }
  at::Tensor y_no = at::empty({x_ni.size(0), w_oi.size(0)}, x_ni.options());
  run_batch_invariant(x_ni, w_oi, added, y_no);
  return y_no;
}

at::Tensor linear(const at::Tensor& x_ni, const FrozenMatrix& w, const at::Tensor& added,
                  Products products) {
  return w.int8 ? linear(x_ni, *w.int8, added) : linear(x_ni, w.w_oi, added, products);
}

void add_linear_(at::Tensor& y_no, const at::Tensor& x_ni, const at::Tensor& w_oi,
                 Products products) {
  if (products == Products::kOfLibrary) {
    y_no.addmm_(x_ni, w_oi.t());
  } else {
    run_batch_invariant(x_ni, w_oi, y_no, y_no);
  }
}

}  // namespace l2a
