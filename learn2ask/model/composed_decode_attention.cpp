#include <algorithm>
#include <array>
#include <optional>

#include <torch/types.h>

#include "model/decode_attention.h"
#include "model/flash_attention.h"
#include "model/ops.h"
#include "model/token_tree.h"
#include "model/unordered_writes.h"

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

// The runs' prefixes one behind the other, as flash attention takes them.
struct PackedPrefixes {
  std::vector<size_t> prefixes;          // in the order of the runs that they were packed for
  std::vector<int64_t> tokens;           // of each
  std::vector<at::Tensor> keys, values;  // per layer, [p, k, h]
};

// What the layers of one step share.
struct Step {
  std::vector<DecodeRow> rows;
  std::vector<DecodeRun> runs;
  at::Tensor slot_r, position_r;  // where the newest keys and values go
  int64_t most = 0;               // own tokens of a row, the newest included
  at::Tensor count_r;             // of each row
  // Own tokens that a row does not see, of all and of a window: [r, 1, most].
  at::Tensor hidden = {}, hidden_by_window = {};
  std::optional<FlashSequences> prefixes = {};
};

class ComposedDecodeAttention : public DecodeAttention {
 public:
  ComposedDecodeAttention(const TransformerConfig& c, const at::TensorOptions& options,
                          int64_t max_new)
      : config_(c),
        flash_(has_flash_attention(options.device(), c10::typeMetaToScalarType(options.dtype()),
                                   c.head_dim)) {
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
    add(packed_.keys), add(packed_.values);
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

  void copy_slots(const std::vector<int64_t>& from, const std::vector<int64_t>& to) override {
    const auto device = keys_skth_[0].device();
    const auto source = at::tensor(from).to(device), target = at::tensor(to).to(device);
    const UnorderedWrites unordered;
    for (auto* store : {&keys_skth_, &values_skth_}) {
      for (at::Tensor& x : *store) x.index_copy_(0, target, x.index_select(0, source));
    }
  }

  // One softmax over the prefix and the own tokens, from its two parts.
  at::Tensor attend(size_t layer, const AttentionInput& now,
                    const std::vector<DecodeRow>& rows) override {
    if (step_.rows != rows) begin_step(rows);
    const UnorderedWrites unordered;
    const std::array<std::optional<at::Tensor>, 3> place{step_.slot_r, std::nullopt,
                                                         step_.position_r};
    const c10::List<std::optional<at::Tensor>> at_token({place[0], place[1], place[2]});
    keys_skth_[layer].index_put_(at_token, now.k_knh.transpose(0, 1));
    values_skth_[layer].index_put_(at_token, now.v_knh.transpose(0, 1));

    const auto q_rkgh = now.q_kngh.transpose(0, 1).contiguous();
    const Part own = own_tokens(layer, q_rkgh);
    const Part prefix = step_.prefixes && config_.window_of(layer) == 0
                            ? packed_prefixes(layer, q_rkgh)
                            : prefix_by_prefix(layer, now.q_kngh, own);
    const auto weight = at::sigmoid(prefix.lse - own.lse).unsqueeze(-1);
    return at::lerp(own.out, prefix.out, weight).flatten(1).to(q_rkgh.scalar_type());
  }

 private:
  void begin_step(const std::vector<DecodeRow>& rows) {
    std::vector<int64_t> slots, positions, counts;
    for (const DecodeRow& row : rows) {
      slots.push_back(row.slot);
      positions.push_back(row.new_tokens);
      counts.push_back(row.new_tokens + 1);
    }
    const auto device = keys_skth_[0].device();
    step_ = {.rows = rows,
             .runs = runs_of(rows),
             .slot_r = at::tensor(slots).to(device),
             .position_r = at::tensor(positions).to(device),
             .most = *std::max_element(counts.begin(), counts.end()),
             .count_r = at::tensor(counts).to(device)};
    const auto token = at::arange(step_.most, step_.count_r.options()).view({1, 1, -1});
    const auto count = step_.count_r.view({-1, 1, 1});
    step_.hidden = token >= count;
    if (config_.window > 0) {
      step_.hidden_by_window = step_.hidden | (token < count - config_.window);
    }
    if (!flash_) return;
    std::vector<int64_t> queries = queries_of_packed();
    if (queries.empty()) {
      pack_prefixes();
      queries = queries_of_packed();
    }
    step_.prefixes = sequences(queries);
  }

  // How many rows hang on each of the packed prefixes. Empty where a run's is not among them, or
  // most of their tokens are of no run: they are packed anew then.
  std::vector<int64_t> queries_of_packed() const {
    std::vector<int64_t> queries;
    auto run = step_.runs.begin();
    int64_t all = 0, live = 0;
    for (size_t i = 0; i < packed_.prefixes.size(); ++i) {
      const bool runs = run != step_.runs.end() && run->prefix == packed_.prefixes[i];
      queries.push_back(runs ? run->end - run->begin : 0);
      all += packed_.tokens[i];
      live += runs ? packed_.tokens[i] : 0;
      run += runs;
    }
    return run == step_.runs.end() && 2 * live >= all ? queries : std::vector<int64_t>();
  }

  void pack_prefixes() {
    packed_ = {};
    for (const DecodeRun& run : step_.runs) {
      packed_.prefixes.push_back(run.prefix);
      packed_.tokens.push_back(prefixes_[run.prefix].keys[0].size(1));
    }
    const auto pack = [&](std::vector<at::Tensor> Prefix::* layers, size_t layer) {
      std::vector<at::Tensor> parts;
      for (const DecodeRun& run : step_.runs) {
        parts.push_back((prefixes_[run.prefix].*layers)[layer].transpose(0, 1));
      }
      return at::cat(parts);
    };
    for (size_t layer = 0; layer < keys_skth_.size(); ++layer) {
      const bool read = config_.window_of(layer) == 0;  // the others go prefix by prefix
      const auto none = at::empty({0}, keys_skth_[layer].options());
      packed_.keys.push_back(read ? pack(&Prefix::keys, layer) : none);
      packed_.values.push_back(read ? pack(&Prefix::values, layer) : none);
    }
  }

  FlashSequences sequences(const std::vector<int64_t>& queries) const {
    std::vector<int32_t> query_start{0}, key_start{0};
    for (size_t i = 0; i < queries.size(); ++i) {
      query_start.push_back(query_start.back() + static_cast<int32_t>(queries[i]));
      key_start.push_back(key_start.back() + static_cast<int32_t>(packed_.tokens[i]));
    }
    const auto most = [](const std::vector<int64_t>& x) {
      return *std::max_element(x.begin(), x.end());
    };
    const auto device = keys_skth_[0].device();
    return {.query_start = at::tensor(query_start).to(device),
            .key_start = at::tensor(key_start).to(device),
            .most_queries = most(queries),
            .most_keys = most(packed_.tokens)};
  }

  Part packed_prefixes(size_t layer, const at::Tensor& q_rkgh) const {
    const auto [out_rah, lse_ar] =
        flash_attention(q_rkgh.flatten(1, 2), packed_.keys[layer], packed_.values[layer],
                        *step_.prefixes, config_.attention_scale());
    const auto shape = q_rkgh.sizes();
    return {out_rah.view(shape).to(at::kFloat), lse_ar.t().reshape(shape.slice(0, 3))};
  }

  // `like`: a part of the same shape.
  Part prefix_by_prefix(size_t layer, const at::Tensor& q_kngh, const Part& like) const {
    const Part all{at::empty_like(like.out), at::empty_like(like.lse)};
    for (const DecodeRun& run : step_.runs) {
      const Prefix& prefix = prefixes_[run.prefix];
      const auto q_kmh = q_kngh.slice(1, run.begin, run.end).flatten(1, 2);
      auto scores = score(q_kmh, prefix.keys[layer]);
      if (config_.window_of(layer) > 0) hide_far_prefix(scores, layer, run);
      const Part flat = attend_part(scores, prefix.values[layer]);
      const auto put = [&](const at::Tensor& into, const at::Tensor& x_km) {
        into.slice(0, run.begin, run.end)
            .copy_(x_km.unflatten(1, {run.end - run.begin, -1}).transpose(0, 1));
      };
      put(all.out, flat.out), put(all.lse, flat.lse);
    }
    return all;
  }

  Part own_tokens(size_t layer, const at::Tensor& q_rkgh) const {
    const auto k = keys_skth_[layer].narrow(2, 0, step_.most).index_select(0, step_.slot_r);
    const auto v = values_skth_[layer].narrow(2, 0, step_.most).index_select(0, step_.slot_r);
    const auto& hidden = config_.window_of(layer) > 0 ? step_.hidden_by_window : step_.hidden;
    const auto scores = score(q_rkgh.flatten(0, 1), k.flatten(0, 1))
                            .unflatten(0, {q_rkgh.size(0), -1})
                            .masked_fill_(hidden.unsqueeze(1), kUnseen);
    return attend_part(scores, v);
  }

  // Of queries [b, m, h] by keys [b, j, h], float32.
  at::Tensor score(const at::Tensor& q, const at::Tensor& k) const {
    return composed::wide_bmm(q, k.transpose(1, 2)).mul_(config_.attention_scale());
  }

  // Of scores [k, rows * g, prefix], those that the rows' windows leave out.
  void hide_far_prefix(at::Tensor& scores, size_t layer, const DecodeRun& run) const {
    const int64_t tokens = scores.size(2), rows = run.end - run.begin;
    const auto first_r =
        step_.count_r.slice(0, run.begin, run.end) + (tokens - config_.window_of(layer));
    const auto first_m1 =
        first_r.unsqueeze(1).expand({rows, scores.size(1) / rows}).reshape({1, -1, 1});
    const auto token = at::arange(tokens, first_r.options()).view({1, 1, -1});
    scores.masked_fill_(token < first_m1, kUnseen);
  }

  TransformerConfig config_;
  bool flash_;
  std::vector<Prefix> prefixes_;
  PackedPrefixes packed_;  // with flash attention only
  Step step_;
  std::vector<at::Tensor> keys_skth_, values_skth_;  // per layer: slot, kv head, new token
};

}  // namespace

std::unique_ptr<DecodeAttention> make_composed_decode_attention(const TransformerConfig& config,
                                                                const at::TensorOptions& options,
                                                                int64_t max_new) {
  return std::make_unique<ComposedDecodeAttention>(config, options, max_new);
}

}  // namespace l2a
