#include "embed/minilm.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include <torch/types.h>

#include "base/file.h"
#include "base/json.h"
#include "tokenizer/wordpiece.h"
#include "weights/safetensors.h"

// Shape suffixes: b texts of a batch, t tokens, d width, h heads, w width of a head, f width of
// the feed-forward layer, v vocabulary.

namespace l2a {
namespace {

constexpr size_t kTextsAtOnce = 64;

struct Config {
  int64_t width = 0, layers = 0, heads = 0, feed_forward = 0, vocabulary = 0, positions = 0;
  double norm_epsilon = 0;
  int64_t max_tokens = 0;
};

struct Norm {
  at::Tensor weight_d, bias_d;
};

struct Linear {
  at::Tensor weight, bias;  // [out, in], [out]
  at::Tensor operator()(const at::Tensor& x) const { return at::linear(x, weight, bias); }
};

struct Layer {
  Linear qkv, attention_out, feed_in, feed_out;
  Norm attention_norm, feed_norm;
};

Json read_json_file(const std::filesystem::path& path) {
  const auto json = parse_json(read_file(path, 1 << 20));
  if (!json) fail_input("model: " + path.string() + ": " + json.error().message);
  return *json;
}

int64_t size_in(const Json& json, const std::string& key, const std::filesystem::path& path) {
  constexpr double kLargest = 1 << 24;
  const auto value = get_number(json, key);
  if (!value) fail_input("model: " + path.string() + ": " + value.error().message);
  if (!(*value >= 1 && *value <= kLargest) || *value != std::floor(*value)) {
    fail_input("model: " + path.string() + ": '" + key + "': not a size");
  }
  return static_cast<int64_t>(*value);
}

void require_text(const Json& json, const std::string& key, const std::string& expected,
                  const std::filesystem::path& path) {
  const auto value = get_string(json, key);
  if (value && *value == expected) return;
  fail(ErrorCode::kUnsupported, "model: " + path.string() + ": '" + key + "': only '" + expected +
                                    "' is known" + (value ? ", got '" + *value + "'" : ""));
}

Config read_config_json(const std::filesystem::path& folder) {
  const auto path = folder / "config.json";
  const Json json = read_json_file(path);
  require_text(json, "model_type", "bert", path);
  require_text(json, "hidden_act", "gelu", path);
  Config config{.width = size_in(json, "hidden_size", path),
                .layers = size_in(json, "num_hidden_layers", path),
                .heads = size_in(json, "num_attention_heads", path),
                .feed_forward = size_in(json, "intermediate_size", path),
                .vocabulary = size_in(json, "vocab_size", path),
                .positions = size_in(json, "max_position_embeddings", path)};
  if (config.width % config.heads != 0) {
    fail_input("model: " + path.string() + ": 'hidden_size' is no multiple of the heads");
  }
  const auto epsilon = get_number(json, "layer_norm_eps");
  if (!epsilon) fail_input("model: " + path.string() + ": " + epsilon.error().message);
  if (!(*epsilon > 0)) {
    fail_input("model: " + path.string() + ": 'layer_norm_eps': expected more than 0");
  }
  config.norm_epsilon = *epsilon;

  config.max_tokens = config.positions;
  const auto sentence_path = folder / "sentence_bert_config.json";
  if (std::filesystem::exists(sentence_path)) {
    const int64_t cut = size_in(read_json_file(sentence_path), "max_seq_length", sentence_path);
    config.max_tokens = std::min(config.max_tokens, cut);
  }
  if (config.max_tokens < 2) {
    fail_input("model: " + folder.string() + ": no room for the two marks around a text");
  }
  return config;
}

// Copies tensors out of the file as float32, each checked against the shape it must have.
class Loader {
 public:
  explicit Loader(const std::filesystem::path& path)
      : path_(path.string()), file_(SafetensorsFile::open(path)) {}

  at::Tensor tensor(const std::string& name, const std::vector<int64_t>& shape) const {
    const StoredTensor* found = file_.find(name);
    if (found == nullptr) fail_input("model: " + path_ + ": tensor '" + name + "': missing");
    if (found->shape != shape) {
      fail_input("model: " + path_ + ": tensor '" + name + "': expected shape " + text(shape) +
                 ", got " + text(found->shape));
    }
    if (found->type == ElementType::kI64) {
      fail_input("model: " + path_ + ": tensor '" + name + "': expected numbers with a fraction");
    }
    at::Tensor values = at::empty(shape, at::kFloat);
    dequantize(*found, {values.data_ptr<float>(), static_cast<size_t>(values.numel())});
    if (!at::isfinite(values).all().item<bool>()) {  // every text would be as near to every other
      fail_input("model: " + path_ + ": tensor '" + name + "': a value is not finite");
    }
    return values;
  }

  Linear linear(const std::string& name, int64_t out, int64_t in) const {
    return {tensor(name + ".weight", {out, in}), tensor(name + ".bias", {out})};
  }

  Norm norm(const std::string& name, int64_t width) const {
    return {tensor(name + ".weight", {width}), tensor(name + ".bias", {width})};
  }

 private:
  static std::string text(const std::vector<int64_t>& shape) {
    std::string out = "[";
    for (const int64_t size : shape) out += (out.size() > 1 ? ", " : "") + std::to_string(size);
    return out + "]";
  }

  std::string path_;
  SafetensorsFile file_;
};

Layer load_layer(const Loader& loader, const Config& config, int64_t index) {
  const std::string name = "encoder.layer." + std::to_string(index) + ".";
  const int64_t d = config.width, f = config.feed_forward;
  const Linear q = loader.linear(name + "attention.self.query", d, d);
  const Linear k = loader.linear(name + "attention.self.key", d, d);
  const Linear v = loader.linear(name + "attention.self.value", d, d);
  return {.qkv = {at::cat({q.weight, k.weight, v.weight}), at::cat({q.bias, k.bias, v.bias})},
          .attention_out = loader.linear(name + "attention.output.dense", d, d),
          .feed_in = loader.linear(name + "intermediate.dense", f, d),
          .feed_out = loader.linear(name + "output.dense", d, f),
          .attention_norm = loader.norm(name + "attention.output.LayerNorm", d),
          .feed_norm = loader.norm(name + "output.LayerNorm", d)};
}

// A vocabulary longer than the embedding would give ids outside of it.
WordPieceTokenizer read_vocabulary(const std::filesystem::path& path, int64_t size) {
  const std::string text = read_file(path, 64 << 20);
  const int64_t lines = std::count(text.begin(), text.end(), '\n') + (text.ends_with('\n') ? 0 : 1);
  if (lines > size) {
    fail_input("model: " + path.string() + ": " + std::to_string(lines) +
               " tokens, but the model has " + std::to_string(size));
  }
  return WordPieceTokenizer(text);
}

using TokenIds = std::vector<int32_t>;

// End of the batch that starts at `begin` of texts sorted by length: at most kTextsAtOnce, and
// none so much longer than the first that padding costs more than an eighth.
size_t batch_end(const std::vector<TokenIds>& ids, const std::vector<size_t>& order, size_t begin) {
  const size_t shortest = ids[order[begin]].size();
  const size_t longest = shortest + std::max<size_t>(1, shortest / 8);
  size_t end = begin + 1;
  while (end < order.size() && end - begin < kTextsAtOnce && ids[order[end]].size() <= longest) {
    ++end;
  }
  return end;
}

}  // namespace

struct MiniLmEncoder::Impl {
  Config config;
  WordPieceTokenizer tokenizer;
  at::Tensor words_vd, positions_td, type_d;
  Norm norm;
  std::vector<Layer> layers;

  at::Tensor normed(const Norm& n, const at::Tensor& x_btd) const {
    return at::layer_norm(x_btd, {config.width}, n.weight_d, n.bias_d, config.norm_epsilon);
  }

  // `mask_b11t`: 0 where a token is, -inf where padding is; undefined without padding.
  at::Tensor attention(const Layer& layer, const at::Tensor& x_btd,
                       const at::Tensor& mask_b11t) const {
    const int64_t b = x_btd.size(0), t = x_btd.size(1), w = config.width / config.heads;
    const auto qkv = layer.qkv(x_btd).view({b, t, 3, config.heads, w}).permute({2, 0, 3, 1, 4});
    std::optional<at::Tensor> mask;
    if (mask_b11t.defined()) mask = mask_b11t;
    const auto mixed_bhtw = at::scaled_dot_product_attention(qkv[0], qkv[1], qkv[2], mask);
    return layer.attention_out(mixed_bhtw.transpose(1, 2).reshape({b, t, config.width}));
  }

  // Unit vectors [b, d] of padded rows.
  at::Tensor forward(const at::Tensor& ids_bt, const at::Tensor& is_token_bt) const {
    const auto length_b1 = is_token_bt.sum(1, /*keepdim=*/true);
    at::Tensor mask_b11t;
    if (!is_token_bt.all().item<bool>()) {
      const auto padding_bt = is_token_bt.logical_not();
      mask_b11t = at::zeros(ids_bt.sizes(), at::kFloat)
                      .masked_fill_(padding_bt, -std::numeric_limits<float>::infinity())
                      .unsqueeze(1)
                      .unsqueeze(1);
    }
    auto x_btd =
        at::embedding(words_vd, ids_bt) + type_d + positions_td.narrow(0, 0, ids_bt.size(1));
    x_btd = normed(norm, x_btd);
    for (const Layer& layer : layers) {
      x_btd = normed(layer.attention_norm, x_btd + attention(layer, x_btd, mask_b11t));
      x_btd = normed(layer.feed_norm, x_btd + layer.feed_out(at::gelu(layer.feed_in(x_btd))));
    }
    const auto sum_bd = (x_btd * is_token_bt.unsqueeze(2)).sum(1);
    const auto mean_bd = sum_bd / length_b1;
    return mean_bd / mean_bd.norm(2, {1}, /*keepdim=*/true).clamp_min(1e-12);
  }

  TokenIds ids_of(const std::string& text) const {
    auto ids = tokenizer.encode(text, static_cast<size_t>(config.max_tokens));
    return std::move(ids).value_or_throw();
  }
};

MiniLmEncoder::MiniLmEncoder(const std::filesystem::path& folder) {
  const Config config = read_config_json(folder);
  const Loader loader(folder / "model.safetensors");
  const int64_t d = config.width;
  auto impl = std::make_unique<Impl>(Impl{
      .config = config,
      .tokenizer = read_vocabulary(folder / "vocab.txt", config.vocabulary),
      .words_vd = loader.tensor("embeddings.word_embeddings.weight", {config.vocabulary, d}),
      .positions_td = loader.tensor("embeddings.position_embeddings.weight", {config.positions, d}),
      .type_d = loader.tensor("embeddings.token_type_embeddings.weight", {2, d})[0],
      .norm = loader.norm("embeddings.LayerNorm", d),
      .layers = {}});
  for (int64_t i = 0; i < config.layers; ++i) {
    impl->layers.push_back(load_layer(loader, config, i));
  }
  impl_ = std::move(impl);
}

MiniLmEncoder::~MiniLmEncoder() = default;
MiniLmEncoder::MiniLmEncoder(MiniLmEncoder&&) noexcept = default;

size_t MiniLmEncoder::width() const { return static_cast<size_t>(impl_->config.width); }

std::vector<float> MiniLmEncoder::encode(std::span<const std::string> texts) const {
  const c10::InferenceMode no_gradients;
  std::vector<TokenIds> ids;
  for (const std::string& text : texts) ids.push_back(impl_->ids_of(text));
  std::vector<size_t> order(texts.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return ids[a].size() < ids[b].size(); });

  std::vector<float> vectors(texts.size() * width());
  for (size_t begin = 0; begin < order.size();) {
    const size_t end = batch_end(ids, order, begin);
    const auto rows = static_cast<int64_t>(end - begin);
    const auto longest = static_cast<int64_t>(ids[order[end - 1]].size());
    const auto ids_bt = at::zeros({rows, longest}, at::kLong);
    const auto is_token_bt = at::zeros({rows, longest}, at::kBool);
    for (size_t i = begin; i < end; ++i) {
      const TokenIds& row = ids[order[i]];
      const auto r = static_cast<int64_t>(i - begin);
      std::copy(row.begin(), row.end(), ids_bt.data_ptr<int64_t>() + r * longest);
      std::fill_n(is_token_bt.data_ptr<bool>() + r * longest, row.size(), true);
    }
    const auto vectors_bd = impl_->forward(ids_bt, is_token_bt).contiguous();
    for (size_t i = begin; i < end; ++i) {
      const float* from = vectors_bd.data_ptr<float>() + (i - begin) * width();
      std::copy_n(from, width(), vectors.begin() + static_cast<std::ptrdiff_t>(order[i] * width()));
    }
    begin = end;
  }
  return vectors;
}

}  // namespace l2a
