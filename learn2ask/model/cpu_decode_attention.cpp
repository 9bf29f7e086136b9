#include <algorithm>
#include <cmath>
#include <map>
#include <utility>

#include <ATen/Parallel.h>
#include <torch/types.h>

#include "model/decode_attention.h"
#include "model/panel.h"
#include "model/row_kernels.h"

namespace l2a {
namespace {

// Right operands of one kv head: keys [h / k][columns] and values [columns / k][h padded], k
// numbers a unit; columns are tokens, padded.
template <class Unit>
struct PanelView {
  Unit *keys_by_h, *values;
};

// The sizes of such panels.
struct PanelSizes {
  int64_t columns, keys, values;
  int64_t both() const { return keys + values; }
};

// T: numbers as stored; Unit: what the products run on. The scores of a row stand in columns
// [prefix, padded | own tokens, padded].
template <class T, class Unit>
class CpuDecodeAttention : public DecodeAttention {
 public:
  CpuDecodeAttention(const TransformerConfig& c, int64_t max_new)
      : layers_(c.layers),
        kv_(c.kv_heads),
        g_(c.heads / c.kv_heads),
        h_(c.head_dim),
        wide_(padded(c.head_dim)),
        config_(c),
        own_(sizes_for(max_new)),
        own_panels_(static_cast<size_t>(c.layers)) {}

  // Rows that go on in one another, as the contexts of a session do, share the panels of the
  // longest.
  void add_prefix(const std::shared_ptr<const TreeCache>& cache, int64_t row) override {
    const TokenTree& tree = cache->tree;
    const int64_t last = last_continuation(tree, tree.row_segment[row]);
    auto& known = paths_[{cache, last}];
    auto packed = known.lock();
    if (!packed) {
      const TreeSegment& end = tree.segments[last];
      const int64_t length = end.first_position + end.end - end.begin;
      known = packed = pack(*cache, segment_path(tree, last, length));
    }
    prefixes_.push_back({packed, tree.row_length[row]});
  }

  void remove_prefix(size_t prefix) override {
    prefixes_.at(prefix) = {};
    std::erase_if(paths_, [](const auto& path) { return path.second.expired(); });
  }

  int64_t bytes() const override {
    size_t units = 0;
    for (const auto& panels : own_panels_) units += panels.size();
    for (const auto& path : paths_) {
      if (const auto packed = path.second.lock()) units += packed->units.size();
    }
    return static_cast<int64_t>(units * sizeof(Unit));
  }

  void make_slots(int64_t count) override {
    for (auto& panels : own_panels_) panels.resize(static_cast<size_t>(count * kv_ * own_.both()));
  }

  void copy_slots(const std::vector<int64_t>& from, const std::vector<int64_t>& to) override {
    const int64_t units = kv_ * own_.both();
    for (auto& panels : own_panels_) {
      for (size_t i = 0; i < from.size(); ++i) {
        std::copy_n(panels.begin() + from[i] * units, units, panels.begin() + to[i] * units);
      }
    }
  }

  // Each (run, kv head) is one piece of work, whichever thread takes it: same bits on any number.
  at::Tensor attend(size_t layer, const AttentionInput& now,
                    const std::vector<DecodeRow>& rows) override {
    auto out = at::empty({static_cast<int64_t>(rows.size()), kv_ * g_ * h_}, now.q_kngh.options());
    const auto runs = runs_of(rows);
    const auto work = static_cast<int64_t>(runs.size()) * kv_;
    const int64_t threads = at::get_num_threads();
    at::parallel_for(0, threads, 1, [&](int64_t begin, int64_t end) {
      Scratch scratch;
      for (int64_t thread = begin; thread < end; ++thread) {
        for (int64_t i = thread; i < work; i += threads) {
          attend_run(layer, now, rows, runs[i / kv_], i % kv_, scratch, out.data_ptr<T>());
        }
      }
    });
    return out;
  }

 private:
  static constexpr int64_t kPerUnit = std::is_same_v<Unit, Bf16Pair> ? 2 : 1;
  static constexpr int64_t kBlockRows = 32;  // scores of a block stay in the second-level cache
  using Number = std::conditional_t<kPerUnit == 2, BFloat16, float>;

  // The panels of all layers and kv heads of some tokens.
  struct Packed {
    PanelSizes sizes;
    std::vector<Unit> units;
  };
  struct Prefix {
    std::shared_ptr<Packed> packed;
    int64_t tokens = 0;
  };
  struct Scratch {
    std::vector<float> scores, product;
    std::vector<Number> p, q;
  };

  PanelSizes sizes_for(int64_t tokens) const {
    const int64_t columns = padded(tokens);
    return {columns, h_ / kPerUnit * columns, columns / kPerUnit * wide_};
  }

  static PanelView<Unit> view(Unit* units, const PanelSizes& sizes, int64_t index) {
    Unit* const keys = units + index * sizes.both();
    return {keys, keys + sizes.keys};
  }
  PanelView<Unit> own(size_t layer, int64_t slot, int64_t head) {
    return view(own_panels_[layer].data(), own_, slot * kv_ + head);
  }

  std::shared_ptr<Packed> pack(const TreeCache& cache, const std::vector<TokenRange>& path) const {
    int64_t tokens = 0;
    for (const TokenRange& range : path) tokens += range.end - range.begin;
    auto packed = std::make_shared<Packed>();
    const PanelSizes sizes = packed->sizes = sizes_for(tokens);
    packed->units.resize(static_cast<size_t>(layers_ * kv_ * sizes.both()));
    at::parallel_for(0, layers_ * kv_, 1, [&](int64_t begin, int64_t end) {
      std::vector<const T*> rows(static_cast<size_t>(sizes.columns), nullptr);
      const auto point = [&](const at::Tensor& x_knh, int64_t head) {
        const T* const x_nh = x_knh.const_data_ptr<T>() + head * x_knh.size(1) * h_;
        size_t column = 0;
        for (const TokenRange& range : path) {
          for (int64_t i = range.begin; i < range.end; ++i) rows[column++] = x_nh + i * h_;
        }
      };
      for (int64_t i = begin; i < end; ++i) {
        const auto layer = static_cast<size_t>(i / kv_);
        const PanelView<Unit> to = view(packed->units.data(), sizes, i);
        point(cache.keys[layer], i % kv_);
        pack_transposed(rows.data(), sizes.columns, h_, to.keys_by_h);
        point(cache.values[layer], i % kv_);
        pack_rows(rows.data(), sizes.columns, h_, to.values, wide_);
      }
    });
    return packed;
  }

  // Column `token` of the panels.
  void put(const PanelView<Unit>& to, int64_t token, const T* key, const T* value) const {
    for (int64_t i = 0; i < h_; ++i) {
      number_at(to.keys_by_h + i / kPerUnit * own_.columns + token, i) = as_number(key[i]);
      number_at(to.values + token / kPerUnit * wide_ + i, token) = as_number(value[i]);
    }
  }
  // Number `index` modulo its size of a unit.
  static Number& number_at(Unit* unit, int64_t index) {
    return reinterpret_cast<Number*>(unit)[index % kPerUnit];
  }
  static Number as_number(T x) {
    Number out;
    narrow(widen(x), out);
    return out;
  }

  void attend_run(size_t layer, const AttentionInput& now, const std::vector<DecodeRow>& rows,
                  const DecodeRun& run, int64_t head, Scratch& scratch, T* out) {
    const int64_t all = now.k_knh.size(1);
    const T* const keys = now.k_knh.const_data_ptr<T>() + head * all * h_;
    const T* const values = now.v_knh.const_data_ptr<T>() + head * all * h_;
    for (int64_t r = run.begin; r < run.end; ++r) {
      put(own(layer, rows[r].slot, head), rows[r].new_tokens, keys + r * h_, values + r * h_);
    }
    const T* const queries = now.q_kngh.const_data_ptr<T>() + head * all * g_ * h_;
    for (int64_t r = run.begin; r < run.end; r += kBlockRows) {
      const int64_t count = std::min(kBlockRows, run.end - r);
      attend_block(layer, prefixes_[run.prefix], std::span(rows).subspan(r, count), head,
                   queries + r * g_ * h_, scratch, out + r * kv_ * g_ * h_);
    }
  }

  void attend_block(size_t layer, const Prefix& prefix, std::span<const DecodeRow> rows,
                    int64_t head, const T* q, Scratch& scratch, T* out) {
    const PanelView<Unit> shared = view(prefix.packed->units.data(), prefix.packed->sizes,
                                        static_cast<int64_t>(layer) * kv_ + head);
    const auto count = static_cast<int64_t>(rows.size()) * g_;
    const int64_t before = padded(prefix.tokens), columns = before + own_.columns;
    const int64_t units = h_ / kPerUnit;
    scratch.scores.resize(static_cast<size_t>(count * columns));
    scratch.p.resize(static_cast<size_t>(count * columns));
    scratch.product.resize(static_cast<size_t>(count * wide_));
    float *const scores = scratch.scores.data(), *const product = scratch.product.data();
    Number* const p = scratch.p.data();
    const auto scale = static_cast<float>(config_.attention_scale());
    const int64_t window = config_.window_of(layer);

    const Unit* const left = left_operand(q, count * h_, scratch.q);
    multiply({left, units, 1}, {shared.keys_by_h, prefix.packed->sizes.columns},
             {count, before, units}, scores, columns, false);
    std::vector<float> sums(static_cast<size_t>(count));
    for (int64_t i = 0; i < count; ++i) {
      const DecodeRow& row = rows[i / g_];
      const int64_t end = before + padded(row.new_tokens + 1);
      if (i % g_ == 0) {
        multiply({left + i * units, units, 1}, {own(layer, row.slot, head).keys_by_h, own_.columns},
                 {g_, end - before, units}, scores + i * columns + before, columns, false);
      }
      // Of the prefix and of its own tokens, the first that it sees.
      const int64_t first_own = window > 0 ? row.new_tokens + 1 - window : 0;
      const VisibleKeys seen{.prefix = prefix.tokens,
                             .first = before + std::max<int64_t>(first_own, 0),
                             .last = before + row.new_tokens,
                             .begin = window > 0 ? prefix.tokens + first_own : 0};
      const float* const s = scores + i * columns;
      const float shift = scale * max_row(s, 0, end, seen);
      sums[i] = exp_row(s, 0, end, seen, scale, shift, p + i * columns);
    }
    const auto* const weights = reinterpret_cast<const Unit*>(p);
    const int64_t stride = columns / kPerUnit;
    multiply({weights, stride, 1}, {shared.values, wide_}, {count, wide_, before / kPerUnit},
             product, wide_, false);
    for (int64_t i = 0; i < count; i += g_) {
      const DecodeRow& row = rows[i / g_];
      multiply({weights + i * stride + before / kPerUnit, stride, 1},
               {own(layer, row.slot, head).values, wide_},
               {g_, wide_, padded(row.new_tokens + 1) / kPerUnit}, product + i * wide_, wide_,
               true);
    }
    for (int64_t i = 0; i < count; ++i) {
      scale_row(product + i * wide_, 1 / sums[i], h_,
                out + ((i / g_ * kv_ + head) * g_ + i % g_) * h_);
    }
  }

  const Unit* left_operand(const T* rows, int64_t size, std::vector<Number>& buffer) const {
    if constexpr (std::is_same_v<T, Number>) return reinterpret_cast<const Unit*>(rows);
    buffer.resize(static_cast<size_t>(size));
    for (int64_t i = 0; i < size; ++i) buffer[i] = as_number(rows[i]);
    return reinterpret_cast<const Unit*>(buffer.data());
  }

  int64_t layers_, kv_, g_, h_, wide_;
  TransformerConfig config_;
  PanelSizes own_;
  std::vector<std::vector<Unit>> own_panels_;  // per layer: slot, kv head
  std::vector<Prefix> prefixes_;
  // By cache and last segment; what prefixes hold.
  std::map<std::pair<std::shared_ptr<const TreeCache>, int64_t>, std::weak_ptr<Packed>> paths_;
};

}  // namespace

std::unique_ptr<DecodeAttention> make_cpu_decode_attention(const TransformerConfig& config,
                                                           at::ScalarType type, int64_t max_new) {
  if (type == at::kFloat) {
    return std::make_unique<CpuDecodeAttention<float, float>>(config, max_new);
  }
  if (has_bf16_products()) {
    return std::make_unique<CpuDecodeAttention<BFloat16, Bf16Pair>>(config, max_new);
  }
  return std::make_unique<CpuDecodeAttention<BFloat16, float>>(config, max_new);
}

}  // namespace l2a
