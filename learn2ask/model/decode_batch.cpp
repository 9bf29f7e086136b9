#include "model/decode_batch.h"

#include <algorithm>
#include <map>
#include <utility>

#include <torch/autograd.h>
#include <torch/types.h>

#include "base/error.h"
#include "model/decode_attention.h"
#include "model/transformer_weights.h"

namespace l2a {

namespace {

constexpr int64_t kFirstSlots = 16;

// What the rows on one prefix share, beside its keys and values.
struct Prefix {
  at::Tensor hidden_d;  // after its last token
  int64_t tokens = 0;
};

}  // namespace

struct DecodeBatch::Impl {
  const Transformer& model;
  PassWeights weights;  // all in the compute type
  int64_t max_new_tokens;
  std::unique_ptr<DecodeAttention> attention;
  std::vector<Prefix> prefixes;
  // By cache, and segment and length of the row there.
  std::map<std::pair<std::shared_ptr<const TreeCache>, std::pair<int64_t, int64_t>>, size_t>
      prefix_of;
  std::vector<DecodeRow> rows;
  std::vector<int64_t> free_slots;
  int64_t slots = 0;

  Impl(const Transformer& m, const TrainedWeights* trained, int64_t max_new)
      : model(m), weights(pass_weights(m.weights_->generating, trained)), max_new_tokens(max_new) {
    const at::ScalarType type = scalar_type(m.options().compute);
    for (LayerLora& layer : weights.lora) layer = cast(layer, type);
    if (!weights.trained_layers.empty()) hold_trained(type);
    attention =
        make_decode_attention(m.config(), weights.embedding_vd.options().dtype(type), max_new);
  }

  // What is cast for a pass is kept for all steps.
  void hold_trained(at::ScalarType type) {
    for (FrozenLayer& layer : weights.layers) layer = [held = layer()] { return held; };
    weights.head.w_oi = weights.head.w_oi.to(type);
    weights.trained_layers.clear();
  }

  size_t prefix_for(const std::shared_ptr<const TreeCache>& cache, int64_t row);
  void remove_prefix(size_t prefix);
  int64_t take_slot();
  at::Tensor logits(const at::Tensor& hidden_rd) const {
    return head_logits(hidden_rd, weights.head, weights.head_math);
  }
};

size_t DecodeBatch::Impl::prefix_for(const std::shared_ptr<const TreeCache>& cache, int64_t row) {
  const TokenTree& tree = cache->tree;
  const std::pair place(tree.row_segment.at(row), tree.row_length.at(row));
  const auto [entry, is_new] = prefix_of.try_emplace({cache, place}, prefixes.size());
  if (is_new) {
    const auto path = row_path(tree, row, tree.row_length[row]);
    attention->add_prefix(cache, row);
    prefixes.push_back({cache->hidden_nd.select(0, path.back().end - 1), tree.row_length[row]});
  }
  return entry->second;
}

void DecodeBatch::Impl::remove_prefix(size_t prefix) {
  attention->remove_prefix(prefix);
  prefixes[prefix] = {};
  std::erase_if(prefix_of, [&](const auto& entry) { return entry.second == prefix; });
}

// The store doubles: to grow it copies all that it holds.
int64_t DecodeBatch::Impl::take_slot() {
  if (free_slots.empty()) {
    const int64_t before = std::exchange(slots, std::max<int64_t>(kFirstSlots, 2 * slots));
    attention->make_slots(slots);
    for (int64_t slot = slots; slot > before; --slot) free_slots.push_back(slot - 1);
  }
  const int64_t slot = free_slots.back();
  free_slots.pop_back();
  return slot;
}

DecodeBatch::DecodeBatch(const Transformer& model, const TrainedWeights* trained,
                         int64_t max_new_tokens) {
  const torch::NoGradGuard no_grad;
  check(max_new_tokens > 0, "decode batch: max_new_tokens must be positive");
  impl_ = std::make_unique<Impl>(model, trained, max_new_tokens);
}

DecodeBatch::~DecodeBatch() = default;

void DecodeBatch::add(std::shared_ptr<const TreeCache> cache, int64_t row) {
  const torch::NoGradGuard no_grad;
  const size_t prefix = impl_->prefix_for(cache, row);
  check(
      impl_->prefixes[prefix].tokens + impl_->max_new_tokens <= impl_->model.config().max_positions,
      "decode batch: rows could grow past the model's positions");
  impl_->rows.push_back({impl_->take_slot(), 0, prefix});
}

at::Tensor DecodeBatch::step(std::span<const int32_t> ids) {
  const torch::NoGradGuard no_grad;
  Impl& d = *impl_;
  const TransformerConfig& c = d.model.config();
  check(!ids.empty() && ids.size() == d.rows.size(), "decode batch: one id a row");
  const auto device = d.weights.embedding_vd.device();
  std::vector<int64_t> positions;
  for (size_t i = 0; i < ids.size(); ++i) {
    check(d.rows[i].new_tokens < d.max_new_tokens, "decode batch: a row is full");
    positions.push_back(d.prefixes[d.rows[i].prefix].tokens + d.rows[i].new_tokens);
  }
  const RotaryTable rotary = rotary_table(positions, c.rotary, c.head_dim, device);
  const RotaryTable local =
      c.window > 0 ? rotary_table(positions, c.local_rotary, c.head_dim, device) : RotaryTable{};
  auto x_rd =
      embed(d.weights.embedding_vd, ids, c.embedding_scale, scalar_type(d.model.options().compute));
  for (size_t i = 0; i < d.weights.layers.size(); ++i) {
    const LayerWeights w = d.weights.layers[i]();
    const LayerLora lora = d.weights.lora.empty() ? LayerLora{} : d.weights.lora[i];
    const auto now = attention_input(x_rd, w, lora, c.window_of(i) > 0 ? local : rotary, c);
    x_rd = after_attention(x_rd, d.attention->attend(i, now, d.rows), w, lora, c);
  }
  for (DecodeRow& row : d.rows) ++row.new_tokens;
  return d.logits(rms_norm(x_rd, d.weights.norm_d, c.norm_epsilon));
}

at::Tensor DecodeBatch::first(int64_t from) const {
  const torch::NoGradGuard no_grad;
  check(from >= 0 && from < rows(), "decode batch: no rows");
  const std::vector<DecodeRow> added(impl_->rows.begin() + from, impl_->rows.end());
  std::vector<at::Tensor> hidden;
  std::vector<int64_t> run_of_row;
  for (const DecodeRun& run : runs_of(added)) {
    run_of_row.insert(run_of_row.end(), run.end - run.begin, static_cast<int64_t>(hidden.size()));
    hidden.push_back(impl_->prefixes[run.prefix].hidden_d);
  }
  const auto logits = impl_->logits(at::stack(hidden));
  return logits.index_select(0, at::tensor(run_of_row).to(logits.device()));
}

int64_t DecodeBatch::rows() const { return static_cast<int64_t>(impl_->rows.size()); }

void DecodeBatch::keep(std::span<const int64_t> positions) {
  Impl& d = *impl_;
  std::vector<bool> kept(d.rows.size(), false);
  for (size_t i = 0; i < positions.size(); ++i) {
    check(i == 0 || positions[i] >= positions[i - 1], "decode batch: positions out of order");
    kept.at(positions[i]) = true;
  }
  for (size_t i = 0; i < kept.size(); ++i) {
    if (!kept[i]) d.free_slots.push_back(d.rows[i].slot);
  }
  std::vector<DecodeRow> rows;
  std::vector<int64_t> from, to;
  for (size_t i = 0; i < positions.size(); ++i) {
    rows.push_back(d.rows[positions[i]]);
    if (i == 0 || positions[i] != positions[i - 1]) continue;  // the first way keeps the slot
    from.push_back(rows.back().slot);
    to.push_back(rows.back().slot = d.take_slot());
  }
  if (!to.empty()) d.attention->copy_slots(from, to);
  std::vector<bool> needed(d.prefixes.size(), false);
  for (const DecodeRow& row : rows) needed[row.prefix] = true;
  for (const DecodeRow& row : d.rows) {
    if (!needed[row.prefix]) d.remove_prefix(row.prefix);
    needed[row.prefix] = true;  // once
  }
  d.rows = std::move(rows);
}

int64_t DecodeBatch::bytes() const {
  int64_t sum = impl_->attention->bytes();
  const TreeCache* last = nullptr;  // entries are in order of their caches
  for (const auto& [place, prefix] : impl_->prefix_of) {
    if (place.first.get() == last) continue;
    last = place.first.get();
    for (const auto* layers : {&last->keys, &last->values}) {
      for (const at::Tensor& x : *layers) sum += static_cast<int64_t>(x.nbytes());
    }
  }
  return sum;
}

}  // namespace l2a
