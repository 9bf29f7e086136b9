// Attention of one task on the CPU, forward and backward. T: numbers as stored; Unit: what the
// products run on. Private to this module.
//
// Shape suffixes: n packed tokens, g query heads of one kv head, h head dim.
#pragma once

#include <algorithm>
#include <cmath>
#include <type_traits>
#include <utility>
#include <vector>

#include "model/panel.h"
#include "model/row_kernels.h"
#include "model/tree_attention.h"

namespace l2a::cpu_attention {

constexpr int64_t kBlockRows = 96;  // scores of a block stay in the second-level cache

struct Sizes {
  int64_t kv, n, g, h;
  float scale;
};

inline Sizes sizes_of(const at::Tensor& q_kngh, double scale) {
  const auto s = q_kngh.sizes();
  return {s[0], s[1], s[2], s[3], static_cast<float>(scale)};
}

// The tensors of one kv head. T: as stored.
template <class T>
struct HeadInput {
  const T *q_ngh, *k_nh, *v_nh;
};

template <class T>
HeadInput<T> head_of(const AttentionInput& in, int64_t head) {
  return {in.q_kngh.select(0, head).const_data_ptr<T>(),
          in.k_knh.select(0, head).const_data_ptr<T>(),
          in.v_knh.select(0, head).const_data_ptr<T>()};
}

// Memory that one thread's tasks share; it grows to the largest.
template <class T>
class Buffer {
 public:
  T* get(int64_t size) {
    if (static_cast<int64_t>(data_.size()) < size) data_.resize(static_cast<size_t>(size));
    return data_.data();
  }

 private:
  std::vector<T> data_;
};

// A run of a task's queries. Its scores stand in columns [0, prefix) and [low, high), which may
// follow one another.
struct Block {
  int64_t first = 0, tokens = 0;  // counted from the task's begin
  int64_t low = 0, high = 0;
};

// One task of one kv head. T: numbers as stored; Unit: what the products run on. Columns are
// keys: the prefix, the task's own tokens, padding to a multiple of 16.
template <class T, class Unit>
class TaskRunner {
 public:
  // Left operands are rows of these.
  static constexpr int64_t kPerUnit = std::is_same_v<Unit, Bf16Pair> ? 2 : 1;
  using Number = std::conditional_t<kPerUnit == 2, BFloat16, float>;

  explicit TaskRunner(const Sizes& sizes) : sizes_(sizes), wide_(padded(sizes.h)) {}

  // `out_ngh` is this head's part of out_nkgh.
  void forward(const AttentionTask& task, const HeadInput<T>& in, T* out_ngh, float* lse_ng);
  // Adds to grad_k_nh and grad_v_nh; `grad_out_ngh` and `out_ngh` as above.
  void backward(const AttentionTask& task, const HeadInput<T>& in, const T* out_ngh,
                const float* lse_ng, const T* grad_out_ngh, T* grad_q_ngh, float* grad_k_nh,
                float* grad_v_nh);

 private:
  void start(const AttentionTask& task);
  std::vector<Block> blocks() const;
  std::vector<std::pair<int64_t, int64_t>> ranges(const Block& block) const;
  void key_rows(const T* x_nh);
  VisibleKeys visible(int64_t token) const {
    return {task_->prefix_tokens, task_->prefix_tokens + task_->own_start[token],
            task_->prefix_tokens + token, task_->prefix_start[token]};
  }
  int64_t token_stride() const { return sizes_.kv * sizes_.g * sizes_.h; }
  const Number* left(const T* rows, int64_t row_stride, int64_t tokens, Buffer<Number>& buffer);
  void scores(const Block& block, const Number* left, const Unit* right, float* out) const;
  void along_keys(const Block& block, const Number* left, const Unit* right, float* out) const;
  void along_queries(const Block& block, const Unit* left, const Unit* right, float* out) const;
  void softmax_gradients(const Block& block, const T* out_ngh, const T* grad_out_ngh,
                         const float* lse_ng, const float* grad_p);
  void scatter(const float* from, float* to_nh) const;

  Sizes sizes_;
  int64_t wide_;  // h, padded
  const AttentionTask* task_ = nullptr;
  int64_t prefix_ = 0, columns_ = 0;  // columns that every block has; all
  std::vector<const T*> rows_;
  Buffer<Unit> keys_by_h_, values_by_h_, keys_, values_;  // right operands
  Buffer<Unit> p_by_query_, gs_by_query_, q_by_query_, go_by_query_;
  Buffer<Number> q_, go_, p_, gs_;
  Buffer<float> score_, grad_p_, product_, grad_k_, grad_v_, zeros_;
};

template <class T, class Unit>
void TaskRunner<T, Unit>::start(const AttentionTask& task) {
  task_ = &task;
  prefix_ = padded(task.prefix_tokens);
  columns_ = padded(task.keys());
}

template <class T, class Unit>
std::vector<Block> TaskRunner<T, Unit>::blocks() const {
  const int64_t most = std::max<int64_t>(kBlockRows / sizes_.g, 1);
  std::vector<Block> blocks;
  for (int64_t first = 0; first < task_->queries(); first += most) {
    const int64_t tokens = std::min(most, task_->queries() - first);
    const int64_t own = task_->prefix_tokens + task_->own_start[first];
    const int64_t low = std::max(prefix_, own / kLanes * kLanes);
    blocks.push_back(
        {first, tokens, low, std::max(low, padded(task_->prefix_tokens + first + tokens))});
  }
  return blocks;
}

// The block's columns. Those that follow one another are summed as one.
template <class T, class Unit>
std::vector<std::pair<int64_t, int64_t>> TaskRunner<T, Unit>::ranges(const Block& block) const {
  if (block.low == prefix_) return {{0, block.high}};
  return {{0, prefix_}, {block.low, block.high}};
}

template <class T, class Unit>
void TaskRunner<T, Unit>::key_rows(const T* x_nh) {
  rows_.assign(columns_, nullptr);
  int64_t column = 0;
  const auto put = [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) rows_[column++] = x_nh + i * sizes_.h;
  };
  for (const TokenRange& range : task_->prefix) put(range.begin, range.end);
  put(task_->begin, task_->end);
}

// The block's rows one after the other as a left operand; token i's start at rows + i * stride.
template <class T, class Unit>
auto TaskRunner<T, Unit>::left(const T* rows, int64_t stride, int64_t tokens,
                               Buffer<Number>& buffer) -> const Number* {
  const int64_t size = sizes_.g * sizes_.h;
  if constexpr (std::is_same_v<T, Number>) {
    if (stride == size) return rows;
  }
  Number* const out = buffer.get(tokens * size);
  for (int64_t i = 0; i < tokens; ++i) {
    for (int64_t j = 0; j < size; ++j) narrow(widen(rows[i * stride + j]), out[i * size + j]);
  }
  return out;
}

template <class Unit, class Number>
const Unit* as_units(const Number* numbers) {
  return reinterpret_cast<const Unit*>(numbers);
}

// [rows, columns] = left [rows, h] * right [h, columns], where the block has columns.
template <class T, class Unit>
void TaskRunner<T, Unit>::scores(const Block& block, const Number* left, const Unit* right,
                                 float* out) const {
  const int64_t rows = block.tokens * sizes_.g, units = sizes_.h / kPerUnit;
  const LeftPanel<Unit> l{as_units<Unit>(left), units, 1};
  multiply(l, {right, columns_}, {rows, prefix_, units}, out, columns_, false);
  multiply(l, {right + block.low, columns_}, {rows, block.high - block.low, units}, out + block.low,
           columns_, false);
}

// [rows, h] = left [rows, columns] * right [columns, h]
template <class T, class Unit>
void TaskRunner<T, Unit>::along_keys(const Block& block, const Number* left, const Unit* right,
                                     float* out) const {
  const int64_t rows = block.tokens * sizes_.g;
  const auto part = [&](int64_t begin, int64_t end, bool add) {
    multiply({as_units<Unit>(left + begin), columns_ / kPerUnit, 1},
             {right + begin / kPerUnit * wide_, wide_}, {rows, wide_, (end - begin) / kPerUnit},
             out, wide_, add);
  };
  part(0, prefix_, false);
  part(block.low, block.high, true);
}

// [columns, h] += left' [columns, rows] * right [rows, h]
template <class T, class Unit>
void TaskRunner<T, Unit>::along_queries(const Block& block, const Unit* left, const Unit* right,
                                        float* out) const {
  const int64_t units = (block.tokens * sizes_.g + kPerUnit - 1) / kPerUnit;
  const auto part = [&](int64_t begin, int64_t end) {
    multiply({left + begin, 1, columns_}, {right, wide_}, {end - begin, wide_, units},
             out + begin * wide_, wide_, true);
  };
  part(0, prefix_);
  part(block.low, block.high);
}

template <class T, class Unit>
void TaskRunner<T, Unit>::forward(const AttentionTask& task, const HeadInput<T>& in, T* out_ngh,
                                  float* lse_ng) {
  start(task);
  const auto [kv, n, g, h, scale] = sizes_;
  Unit* const keys = keys_by_h_.get(h / kPerUnit * columns_);
  Unit* const values = values_.get(columns_ / kPerUnit * wide_);
  key_rows(in.k_nh);
  pack_transposed(rows_.data(), columns_, h, keys);
  key_rows(in.v_nh);
  pack_rows(rows_.data(), columns_, h, values, wide_);
  for (const Block& block : blocks()) {
    const int64_t rows = block.tokens * g, token = task.begin + block.first;
    float* const score = score_.get(rows * columns_);
    Number* const p = p_.get(rows * columns_);
    float* const out = product_.get(rows * wide_);
    std::vector<float> sum(rows);
    scores(block, left(in.q_ngh + token * g * h, g * h, block.tokens, q_), keys, score);
    for (int64_t r = 0; r < rows; ++r) {
      const VisibleKeys seen = visible(block.first + r / g);
      const float* const s = score + r * columns_;
      const float shift =
          scale * std::max(max_row(s, 0, prefix_, seen), max_row(s, block.low, block.high, seen));
      for (const auto& [begin, end] : ranges(block)) {
        sum[r] += exp_row(s, begin, end, seen, scale, shift, p + r * columns_);
      }
      lse_ng[token * g + r] = shift + std::log(sum[r]);
    }
    along_keys(block, p, values, out);
    for (int64_t r = 0; r < rows; ++r) {
      scale_row(out + r * wide_, 1 / sum[r], h,
                out_ngh + (token + r / g) * token_stride() + r % g * h);
    }
  }
}

// Fills gs_, p_by_query_ and gs_by_query_ from score_ and grad_p.
template <class T, class Unit>
void TaskRunner<T, Unit>::softmax_gradients(const Block& block, const T* out_ngh,
                                            const T* grad_out_ngh, const float* lse_ng,
                                            const float* grad_p) {
  const auto [kv, n, g, h, scale] = sizes_;
  const int64_t rows = block.tokens * g, units = (rows + kPerUnit - 1) / kPerUnit;
  const float* const score = score_.get(0);
  Number* const gs = gs_.get((rows + 1) * columns_);
  Unit* const p_by_query = p_by_query_.get(units * columns_);
  Unit* const gs_by_query = gs_by_query_.get(units * columns_);
  const auto row = [&](int64_t r) -> SoftmaxRow {
    if (r == rows) return {score, grad_p, {.prefix = 0, .first = 0, .last = -1, .begin = 0}, 0, 0};
    const int64_t token = task_->begin + block.first + r / g;
    const int64_t at = token * token_stride() + r % g * h;
    return {score + r * columns_, grad_p + r * columns_, visible(block.first + r / g),
            lse_ng[token * g + r % g], dot(out_ngh + at, grad_out_ngh + at, h)};
  };
  for (int64_t u = 0; u < units; ++u) {
    Unit *const p_u = p_by_query + u * columns_, *const gs_u = gs_by_query + u * columns_;
    for (const auto& [begin, end] : ranges(block)) {
      if constexpr (kPerUnit == 2) {
        softmax_grad_rows(row(2 * u), row(2 * u + 1), begin, end, scale, gs + 2 * u * columns_,
                          gs + (2 * u + 1) * columns_, p_u, gs_u);
      } else {
        softmax_grad_rows(row(u), begin, end, scale, gs + u * columns_, p_u, gs_u);
      }
    }
  }
}

template <class T, class Unit>
void TaskRunner<T, Unit>::scatter(const float* from, float* to_nh) const {
  const auto put = [&](int64_t column, int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      add_scaled(from + (column + i - begin) * wide_, 1, sizes_.h, to_nh + i * sizes_.h);
    }
  };
  int64_t column = 0;
  for (const TokenRange& range : task_->prefix) {
    put(column, range.begin, range.end);
    column += range.end - range.begin;
  }
  put(column, task_->begin, task_->end);
}

template <class T, class Unit>
void TaskRunner<T, Unit>::backward(const AttentionTask& task, const HeadInput<T>& in,
                                   const T* out_ngh, const float* lse_ng, const T* grad_out_ngh,
                                   T* grad_q_ngh, float* grad_k_nh, float* grad_v_nh) {
  start(task);
  const auto [kv, n, g, h, scale] = sizes_;
  Unit* const keys_by_h = keys_by_h_.get(h / kPerUnit * columns_);
  Unit* const values_by_h = values_by_h_.get(h / kPerUnit * columns_);
  Unit* const keys = keys_.get(columns_ / kPerUnit * wide_);
  key_rows(in.k_nh);
  pack_transposed(rows_.data(), columns_, h, keys_by_h);
  pack_rows(rows_.data(), columns_, h, keys, wide_);
  key_rows(in.v_nh);
  pack_transposed(rows_.data(), columns_, h, values_by_h);
  float *const grad_k = grad_k_.get(columns_ * wide_), *const grad_v =
                                                           grad_v_.get(columns_ * wide_);
  std::fill_n(grad_k, columns_ * wide_, 0.0f);
  std::fill_n(grad_v, columns_ * wide_, 0.0f);

  for (const Block& block : blocks()) {
    const int64_t rows = block.tokens * g, token = task.begin + block.first;
    float* const score = score_.get(rows * columns_);
    float* const grad_p = grad_p_.get(rows * columns_);
    float* const product = product_.get(rows * wide_);
    const T* const q = in.q_ngh + token * g * h;
    const T* const go = grad_out_ngh + token * token_stride();
    scores(block, left(q, g * h, block.tokens, q_), keys_by_h, score);
    scores(block, left(go, token_stride(), block.tokens, go_), values_by_h, grad_p);
    softmax_gradients(block, out_ngh, grad_out_ngh, lse_ng, grad_p);

    along_keys(block, gs_.get(0), keys, product);
    for (int64_t r = 0; r < rows; ++r) {
      scale_row(product + r * wide_, 1, h, grad_q_ngh + (token * g + r) * h);
    }
    const int64_t units = (rows + kPerUnit - 1) / kPerUnit;
    std::vector<const T*> q_rows(rows), go_rows(rows);
    for (int64_t r = 0; r < rows; ++r) {
      q_rows[r] = q + r * h;
      go_rows[r] = go + r / g * token_stride() + r % g * h;
    }
    Unit* const q_by_query = q_by_query_.get(units * wide_);
    Unit* const go_by_query = go_by_query_.get(units * wide_);
    pack_rows(q_rows.data(), rows, h, q_by_query, wide_);
    pack_rows(go_rows.data(), rows, h, go_by_query, wide_);
    along_queries(block, gs_by_query_.get(0), q_by_query, grad_k);
    along_queries(block, p_by_query_.get(0), go_by_query, grad_v);
  }
  scatter(grad_k, grad_k_nh);
  scatter(grad_v, grad_v_nh);
}

}  // namespace l2a::cpu_attention
