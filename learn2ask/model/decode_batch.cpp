#include "model/decode_batch.h"

#include <algorithm>
#include <cmath>
#include <map>

#include <torch/torch.h>

#include "base/error.h"
#include "model/transformer_weights.h"

namespace l2a {
namespace {

// Rows that continue the same prefix. They stand side by side among the live rows.
struct Group {
  std::vector<at::Tensor> keys, values;  // per layer, [k, p, h]
  at::Tensor hidden_d;                   // after the prefix's last token
  int64_t prefix_tokens = 0;
};

struct Row {
  int64_t number = 0;  // as DecodeBatch::add counted
  int64_t slot = 0;    // in the store of new tokens
  int64_t new_tokens = 0;
  size_t group = 0;
};

// One run of live rows of one group: [begin, end) of the live rows.
struct Run {
  const Group* group = nullptr;
  int64_t begin = 0, end = 0;
};

struct Part {
  at::Tensor out;  // softmax-weighted values, float32 [r, k, g, h]
  at::Tensor lse;  // float32 [r, k, g]
};

Part attend(const at::Tensor& scores, const at::Tensor& values) {
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

}  // namespace

struct DecodeBatch::Impl {
  const Transformer& model;
  const Transformer::Weights& weights;
  int64_t max_new_tokens;
  std::vector<LayerLora> lora;  // in the compute type; empty without an adapter
  std::vector<Group> groups;
  std::map<std::pair<const TreeCache*, std::pair<int64_t, int64_t>>, size_t> group_of;
  std::vector<std::shared_ptr<const TreeCache>> caches;
  std::vector<Row> rows;  // live
  std::vector<int64_t> numbers;
  int64_t added = 0;
  std::vector<at::Tensor> keys_skth, values_skth;  // new tokens per layer: slot, kv head, token

  Impl(const Transformer& m, const LoraAdapter* adapter, int64_t max_new)
      : model(m), weights(*m.weights_), max_new_tokens(max_new) {
    const at::Device device = weights.embedding_vd.device();
    const auto type = scalar_type(m.options().compute);
    for (const LayerLora& layer : fuse_adapter(adapter, device)) lora.push_back(cast(layer, type));
    const auto& c = m.config();
    const auto empty =
        at::empty({0, c.kv_heads, max_new, c.head_dim}, weights.embedding_vd.options());
    keys_skth.assign(c.layers, empty);
    values_skth.assign(c.layers, empty);
  }

  size_t group_for(const std::shared_ptr<const TreeCache>& cache, int64_t row);
  void add_slots(int64_t count);
  void compact();
  std::vector<Run> runs() const;
  at::Tensor slots() const;
  at::Tensor attention(size_t layer, const AttentionInput& now, const std::vector<Run>& runs);
  Part own_tokens(size_t layer, const at::Tensor& q_rkgh) const;
};

size_t DecodeBatch::Impl::group_for(const std::shared_ptr<const TreeCache>& cache, int64_t row) {
  const TokenTree& tree = cache->tree;
  const std::pair place(tree.row_segment.at(row), tree.row_length.at(row));
  const auto [entry, is_new] = group_of.try_emplace({cache.get(), place}, groups.size());
  if (is_new) {
    const auto path = row_path(tree, row, tree.row_length[row]);
    caches.push_back(cache);
    groups.push_back({gather(cache->keys, path), gather(cache->values, path),
                      cache->hidden_nd.select(0, path.back().end - 1), tree.row_length[row]});
  }
  return entry->second;
}

void DecodeBatch::Impl::add_slots(int64_t count) {
  for (auto* store : {&keys_skth, &values_skth}) {
    for (at::Tensor& x : *store) {
      auto shape = x.sizes().vec();
      shape[0] = count;
      x = at::cat({x, at::zeros(shape, x.options())});
    }
  }
}

// Once most slots are dead, the live ones move together.
void DecodeBatch::Impl::compact() {
  const auto live = static_cast<int64_t>(rows.size());
  if (keys_skth.empty() || 2 * live > keys_skth[0].size(0)) return;
  const auto index = slots();
  for (auto* store : {&keys_skth, &values_skth}) {
    for (at::Tensor& x : *store) x = x.index_select(0, index);
  }
  for (int64_t i = 0; i < live; ++i) rows[i].slot = i;
}

std::vector<Run> DecodeBatch::Impl::runs() const {
  std::vector<Run> runs;
  for (size_t i = 0; i < rows.size(); ++i) {
    const auto at = static_cast<int64_t>(i);
    if (i == 0 || rows[i].group != rows[i - 1].group) {
      runs.push_back({&groups[rows[i].group], at, at});
    }
    runs.back().end = at + 1;
  }
  return runs;
}

at::Tensor DecodeBatch::Impl::slots() const {
  std::vector<int64_t> index;
  for (const Row& row : rows) index.push_back(row.slot);
  return at::tensor(index).to(weights.embedding_vd.device());
}

// Attention of the rows to their own new tokens, the current one included.
Part DecodeBatch::Impl::own_tokens(size_t layer, const at::Tensor& q_rkgh) const {
  std::vector<int64_t> counts;
  for (const Row& row : rows) counts.push_back(row.new_tokens + 1);
  const int64_t most = *std::max_element(counts.begin(), counts.end());
  const auto index = slots();
  const auto k = keys_skth[layer].narrow(2, 0, most).index_select(0, index);
  const auto v = values_skth[layer].narrow(2, 0, most).index_select(0, index);
  const auto future =
      at::arange(most).view({1, 1, 1, most}) >= at::tensor(counts).view({-1, 1, 1, 1});
  const double scale = 1 / std::sqrt(static_cast<double>(q_rkgh.size(3)));
  const auto scores = (at::matmul(q_rkgh, k.transpose(2, 3)).to(at::kFloat) * scale)
                          .masked_fill_(future.to(k.device()), -INFINITY);
  return attend(scores, v);
}

// [r, k * g * h]: one softmax over the prefix and the own tokens, from its two parts.
at::Tensor DecodeBatch::Impl::attention(size_t layer, const AttentionInput& now,
                                        const std::vector<Run>& runs) {
  const auto device = weights.embedding_vd.device();
  std::vector<int64_t> position;
  for (const Row& row : rows) position.push_back(row.new_tokens);
  const std::array<std::optional<at::Tensor>, 3> place{slots(), std::nullopt,
                                                       at::tensor(position).to(device)};
  const c10::List<std::optional<at::Tensor>> at_token({place[0], place[1], place[2]});
  keys_skth[layer].index_put_(at_token, now.k_knh.transpose(0, 1));
  values_skth[layer].index_put_(at_token, now.v_knh.transpose(0, 1));

  const auto q_rkgh = now.q_kngh.transpose(0, 1).contiguous();
  const Part own = own_tokens(layer, q_rkgh);
  const double scale = 1 / std::sqrt(static_cast<double>(q_rkgh.size(3)));
  auto out = at::empty_like(own.out);
  for (const Run& run : runs) {
    const auto rows_of = [&](const at::Tensor& x) { return x.slice(0, run.begin, run.end); };
    const auto q_kmh = now.q_kngh.slice(1, run.begin, run.end).flatten(1, 2);
    const auto scores =
        at::bmm(q_kmh, run.group->keys[layer].transpose(1, 2)).to(at::kFloat) * scale;
    const Part flat = attend(scores, run.group->values[layer]);
    const auto by_row = [&](const at::Tensor& x_km) {
      return x_km.unflatten(1, {run.end - run.begin, -1}).transpose(0, 1);
    };
    const auto weight = at::sigmoid(by_row(flat.lse) - rows_of(own.lse)).unsqueeze(-1);
    rows_of(out).copy_(by_row(flat.out) * weight + rows_of(own.out) * (1 - weight));
  }
  return out.flatten(1).to(q_rkgh.scalar_type());
}

DecodeBatch::DecodeBatch(const Transformer& model, const LoraAdapter* adapter,
                         int64_t max_new_tokens) {
  const torch::NoGradGuard no_grad;
  check(max_new_tokens > 0, "decode batch: max_new_tokens must be positive");
  impl_ = std::make_unique<Impl>(model, adapter, max_new_tokens);
}

DecodeBatch::~DecodeBatch() = default;

void DecodeBatch::add(std::shared_ptr<const TreeCache> cache, int64_t row, int64_t count) {
  const torch::NoGradGuard no_grad;
  check(count > 0, "decode batch: no rows to add");
  const size_t group = impl_->group_for(cache, row);
  check(impl_->groups[group].prefix_tokens + impl_->max_new_tokens <=
            impl_->model.config().max_positions,
        "decode batch: rows could grow past the model's positions");
  const int64_t first_slot = impl_->keys_skth.empty() ? 0 : impl_->keys_skth[0].size(0);
  impl_->add_slots(count);
  for (int64_t i = 0; i < count; ++i) {
    impl_->rows.push_back({impl_->added, first_slot + i, 0, group});
    impl_->numbers.push_back(impl_->added++);
  }
}

at::Tensor DecodeBatch::step(std::span<const int32_t> ids) {
  const torch::NoGradGuard no_grad;
  Impl& d = *impl_;
  const TransformerConfig& c = d.model.config();
  check(!ids.empty() && ids.size() == d.rows.size(), "decode batch: one id a live row");
  const auto device = d.weights.embedding_vd.device();
  std::vector<int64_t> positions;
  for (size_t i = 0; i < ids.size(); ++i) {
    check(ids[i] >= 0 && ids[i] < c.vocabulary, "decode batch: token id outside the vocabulary");
    check(d.rows[i].new_tokens < d.max_new_tokens, "decode batch: a row is full");
    positions.push_back(d.groups[d.rows[i].group].prefix_tokens + d.rows[i].new_tokens);
  }
  const RotaryTable rotary = rotary_table(at::tensor(positions).to(device), c);
  const std::vector<Run> runs = d.runs();
  auto x_rd = d.weights.embedding_vd.index_select(0, at::tensor(ids, at::kInt).to(device));
  for (size_t i = 0; i < d.weights.layers.size(); ++i) {
    const LayerWeights& w = d.weights.layers[i];
    const LayerLora lora = d.lora.empty() ? LayerLora{} : d.lora[i];
    const auto normed = rms_norm(x_rd, w.attention_norm_d, c.norm_epsilon);
    const auto now = split_and_rotate(lora_linear(normed, w.qkv_oi, lora.qkv), rotary, c);
    const auto middle = lora_linear(d.attention(i, now, runs), w.output_oi, lora.output, x_rd);
    x_rd = mlp(middle, w, lora, c.norm_epsilon);
  }
  for (Row& row : d.rows) ++row.new_tokens;
  return d.model.logits(rms_norm(x_rd, d.weights.norm_d, c.norm_epsilon));
}

at::Tensor DecodeBatch::first() const {
  const torch::NoGradGuard no_grad;
  check(!impl_->rows.empty(), "decode batch: no live rows");
  std::vector<at::Tensor> hidden;
  std::vector<int64_t> run_of_row;
  for (const Run& run : impl_->runs()) {
    run_of_row.insert(run_of_row.end(), run.end - run.begin, static_cast<int64_t>(hidden.size()));
    hidden.push_back(run.group->hidden_d);
  }
  const auto logits = impl_->model.logits(at::stack(hidden));
  return logits.index_select(0, at::tensor(run_of_row).to(logits.device()));
}

const std::vector<int64_t>& DecodeBatch::live() const { return impl_->numbers; }

void DecodeBatch::keep(std::span<const int64_t> positions) {
  const torch::NoGradGuard no_grad;
  std::vector<Row> rows;
  std::vector<int64_t> numbers;
  for (size_t i = 0; i < positions.size(); ++i) {
    check(i == 0 || positions[i] > positions[i - 1], "decode batch: positions out of order");
    rows.push_back(impl_->rows.at(positions[i]));
    numbers.push_back(rows.back().number);
  }
  impl_->rows = std::move(rows);
  impl_->numbers = std::move(numbers);
  impl_->compact();
}

}  // namespace l2a
