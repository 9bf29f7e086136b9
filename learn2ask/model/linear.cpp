#include "model/linear.h"

#include <algorithm>
#include <type_traits>
#include <vector>

#include <torch/torch.h>

#include "base/error.h"
#include "model/panel.h"

namespace l2a {
namespace {

constexpr int64_t kPanelTokens = 64;  // as many as multiply() takes side by side
constexpr int64_t kBlockOutputs = 48;

// The weights are the left operand, as they lie; tokens are the columns. T: numbers as stored;
// Unit: what the products run on.
template <class T, class Unit>
class BatchInvariant {
 public:
  BatchInvariant(const at::Tensor& x_ni, const at::Tensor& w_oi, const at::Tensor& added,
                 at::Tensor& y_no)
      : n_(x_ni.size(0)),
        i_(x_ni.size(1)),
        o_(w_oi.size(0)),
        weights_(w_oi.const_data_ptr<T>()),
        added_(added.defined() ? added.const_data_ptr<T>() : nullptr),
        added_stride_(added.defined() && added.dim() == 2 ? o_ : 0),
        y_(y_no.data_ptr<T>()) {
    pack(x_ni.const_data_ptr<T>());
  }

  // Each block of outputs is one piece of work, whichever thread takes it.
  void run() const {
    at::parallel_for(0, (o_ + kBlockOutputs - 1) / kBlockOutputs, 1,
                     [&](int64_t begin, int64_t end) {
                       std::vector<float> sums(kBlockOutputs * kPanelTokens);
                       std::vector<Number> wide;
                       for (int64_t block = begin; block < end; ++block) {
                         const int64_t first = block * kBlockOutputs;
                         run_block(first, std::min(first + kBlockOutputs, o_), sums, wide);
                       }
                     });
  }

 private:
  static constexpr int64_t kPerUnit = std::is_same_v<Unit, Bf16Pair> ? 2 : 1;
  using Number = std::conditional_t<kPerUnit == 2, BFloat16, float>;

  int64_t units() const { return i_ / kPerUnit; }

  // Panels of tokens one after the other, each [units][its tokens, padded].
  void pack(const T* x) {
    const int64_t columns = padded(n_);
    std::vector<const T*> rows(static_cast<size_t>(columns), nullptr);
    for (int64_t token = 0; token < n_; ++token) rows[token] = x + token * i_;
    tokens_.resize(static_cast<size_t>(columns * units()));
    const int64_t panels = (columns + kPanelTokens - 1) / kPanelTokens;
    at::parallel_for(0, panels, 1, [&](int64_t begin, int64_t end) {
      for (int64_t first = begin * kPanelTokens; first < std::min(end * kPanelTokens, columns);
           first += kPanelTokens) {
        pack_transposed(rows.data() + first, std::min(kPanelTokens, columns - first), i_,
                        tokens_.data() + first * units());
      }
    });
  }

  const Unit* left_operand(int64_t first, int64_t last, std::vector<Number>& wide) const {
    const T* const rows = weights_ + first * i_;
    if constexpr (std::is_same_v<T, Number>) return reinterpret_cast<const Unit*>(rows);
    wide.resize(static_cast<size_t>((last - first) * i_));
    for (size_t j = 0; j < wide.size(); ++j) narrow(widen(rows[j]), wide[j]);
    return reinterpret_cast<const Unit*>(wide.data());
  }

  void run_block(int64_t first, int64_t last, std::vector<float>& sums,
                 std::vector<Number>& wide) const {
    const Unit* const left = left_operand(first, last, wide);
    for (int64_t from = 0; from < n_; from += kPanelTokens) {
      const int64_t columns = std::min(kPanelTokens, padded(n_) - from);
      multiply({left, units(), 1}, {tokens_.data() + from * units(), columns},
               {last - first, columns, units()}, sums.data(), kPanelTokens, false);
      for (int64_t token = from; token < std::min(from + columns, n_); ++token) {
        const T* const add = added_ ? added_ + token * added_stride_ : nullptr;
        for (int64_t o = first; o < last; ++o) {
          const float sum = sums[static_cast<size_t>((o - first) * kPanelTokens + token - from)];
          narrow(add ? sum + widen(add[o]) : sum, y_[token * o_ + o]);
        }
      }
    }
  }

  int64_t n_, i_, o_;
  const T *weights_, *added_;
  int64_t added_stride_;
  T* y_;
  std::vector<Unit> tokens_;
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

void add_linear_(at::Tensor& y_no, const at::Tensor& x_ni, const at::Tensor& w_oi,
                 Products products) {
  if (products == Products::kOfLibrary) {
    y_no.addmm_(x_ni, w_oi.t());
  } else {
    run_batch_invariant(x_ni, w_oi, y_no, y_no);
  }
}

}  // namespace l2a
