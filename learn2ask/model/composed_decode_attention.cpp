#include <algorithm>

#include <torch/types.h>

#include "model/decode_attention.h"

namespace l2a {
namespace {

// Takes a score out of the softmax. Finite: where a row sees nothing of its prefix, that part then
// weighs nothing instead of being no number.
constexpr double kUnseen = -1e30;

// Per layer, [k, p, h].
struct Prefix {
  std::vector<at::Tensor> keys, values;
};

struct Part {
  at::Tensor out;  // softmax-weighted values, float32 [r, k, g, h]
  at::Tensor lse;  // float32 [r, k, g]
};

Part attend_part(const at::Tensor& scores, const at::Tensor& values) {
  const auto p = at::softmax(scores, -1).to(values.scalar_type());
  return {at::matmul(p, values).to(at::kFloat), at::logsumexp(scores, -1)};
}

std::vector<at::Tensor> gather(const std::vector<at::Tensor>& layers,
                               const std::vector<TokenRange>& path) {
  std::vector<at::Tensor> gathered;
  for (const at::Tensor& x_knh : layers) {
    std::vector<at::Tensor> parts;
    for (const TokenRange& range : path) parts.push_back(x_knh.slice(1, range.begin, range.end));
    gathered.push_back(parts.size() == 1 ? parts[0] : at::cat(parts, 1));
  }
  return gathered;
}

class ComposedDecodeAttention : public DecodeAttention {
 public:
  ComposedDecodeAttention(const TransformerConfig& c, const at::TensorOptions& options,
                          int64_t max_new)
      : config_(c) {
    const auto empty = at::empty({0, c.kv_heads, max_new, c.head_dim}, options);
    keys_skth_.assign(static_cast<size_t>(c.layers), empty);
    values_skth_ = keys_skth_;
  }

  void add_prefix(const std::shared_ptr<const TreeCache>& cache, int64_t row) override {
    const auto path = row_path(cache->tree, row, cache->tree.row_length[row]);
    prefixes_.push_back({gather(cache->keys, path), gather(cache->values, path)});
  }

  void remove_prefix(size_t prefix) override { prefixes_.at(prefix) = {}; }

  int64_t bytes() const override {
    int64_t sum = 0;
    const auto add = [&](const std::vector<at::Tensor>& layers) {
      for (const at::Tensor& x : layers) sum += static_cast<int64_t>(x.nbytes());
    };
    add(keys_skth_), add(values_skth_);
    for (const Prefix& prefix : prefixes_) add(prefix.keys), add(prefix.values);
    return sum;
  }

  void make_slots(int64_t count) override {
    for (auto* store : {&keys_skth_, &values_skth_}) {
      for (at::Tensor& x : *store) {
        auto shape = x.sizes().vec();
        shape[0] = count - shape[0];
        x = at::cat({x, at::zeros(shape, x.options())});
      }
    }
  }

  void copy_slot(int64_t from, int64_t to) override {
    for (auto* store : {&keys_skth_, &values_skth_}) {
      for (at::Tensor& x : *store) x[to].copy_(x[from]);
    }
  }

  // One softmax over the prefix and the own tokens, from its two parts.
  at::Tensor attend(size_t layer, const AttentionInput& now,
                    const std::vector<DecodeRow>& rows) override {
    keep(layer, now, rows);
    const auto q_rkgh = now.q_kngh.transpose(0, 1).contiguous();
    const Part own = own_tokens(layer, q_rkgh, rows);
    auto out = at::empty_like(own.out);
    for (const DecodeRun& run : runs_of(rows)) {
      const auto rows_of = [&](const at::Tensor& x) { return x.slice(0, run.begin, run.end); };
      const Prefix& prefix = prefixes_[run.prefix];
      const auto q_kmh = now.q_kngh.slice(1, run.begin, run.end).flatten(1, 2);
      auto scores = score(at::bmm(q_kmh, prefix.keys[layer].transpose(1, 2)));
      if (config_.window_of(layer) > 0) hide_far_prefix(scores, layer, run, rows);
      const Part flat = attend_part(scores, prefix.values[layer]);
      const auto by_row = [&](const at::Tensor& x_km) {
        return x_km.unflatten(1, {run.end - run.begin, -1}).transpose(0, 1);
      };
      const auto weight = at::sigmoid(by_row(flat.lse) - rows_of(own.lse)).unsqueeze(-1);
      rows_of(out).copy_(by_row(flat.out) * weight + rows_of(own.out) * (1 - weight));
    }
    return out.flatten(1).to(q_rkgh.scalar_type());
  }

 private:
  at::Tensor slots(const std::vector<DecodeRow>& rows) const {
    std::vector<int64_t> index;
    for (const DecodeRow& row : rows) index.push_back(row.slot);
    return at::tensor(index).to(keys_skth_[0].device());
  }

  void keep(size_t layer, const AttentionInput& now, const std::vector<DecodeRow>& rows) {
    std::vector<int64_t> position;
    for (const DecodeRow& row : rows) position.push_back(row.new_tokens);
    const std::array<std::optional<at::Tensor>, 3> place{
        slots(rows), std::nullopt, at::tensor(position).to(keys_skth_[0].device())};
    const c10::List<std::optional<at::Tensor>> at_token({place[0], place[1], place[2]});
    keys_skth_[layer].index_put_(at_token, now.k_knh.transpose(0, 1));
    values_skth_[layer].index_put_(at_token, now.v_knh.transpose(0, 1));
  }

  Part own_tokens(size_t layer, const at::Tensor& q_rkgh,
                  const std::vector<DecodeRow>& rows) const {
    std::vector<int64_t> counts;
    for (const DecodeRow& row : rows) counts.push_back(row.new_tokens + 1);
    const int64_t most = *std::max_element(counts.begin(), counts.end());
    const auto index = slots(rows);
    const auto k = keys_skth_[layer].narrow(2, 0, most).index_select(0, index);
    const auto v = values_skth_[layer].narrow(2, 0, most).index_select(0, index);
    const auto token = at::arange(most).view({1, 1, 1, most});
    const auto count = at::tensor(counts).view({-1, 1, 1, 1});
    auto hidden = token >= count;
    const int64_t window = config_.window_of(layer);
    if (window > 0) hidden = hidden | (token < count - window);
    const auto scores =
        score(at::matmul(q_rkgh, k.transpose(2, 3))).masked_fill_(hidden.to(k.device()), kUnseen);
    return attend_part(scores, v);
  }

  at::Tensor score(const at::Tensor& products) const {
    return products.to(at::kFloat) * config_.attention_scale();
  }

  // Of scores [k, rows * g, prefix], those that the rows' windows leave out.
  void hide_far_prefix(at::Tensor& scores, size_t layer, const DecodeRun& run,
                       const std::vector<DecodeRow>& rows) const {
    const int64_t tokens = scores.size(2), group = scores.size(1) / (run.end - run.begin);
    std::vector<int64_t> first;
    for (int64_t r = run.begin; r < run.end; ++r) {
      first.insert(first.end(), static_cast<size_t>(group),
                   tokens + rows[r].new_tokens + 1 - config_.window_of(layer));
    }
    const auto hidden = at::arange(tokens).view({1, 1, -1}) < at::tensor(first).view({1, -1, 1});
    scores.masked_fill_(hidden.to(scores.device()), kUnseen);
  }

  TransformerConfig config_;
  std::vector<Prefix> prefixes_;
  std::vector<at::Tensor> keys_skth_, values_skth_;  // per layer: slot, kv head, new token
};

}  // namespace

std::unique_ptr<DecodeAttention> make_composed_decode_attention(const TransformerConfig& config,
                                                                const at::TensorOptions& options,
                                                                int64_t max_new) {
  return std::make_unique<ComposedDecodeAttention>(config, options, max_new);
}

}  // namespace l2a
