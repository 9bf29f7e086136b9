#include "model/config_reader.h"

#include <cmath>

#include "base/error.h"
#include "base/utf8.h"

namespace l2a {
namespace {

constexpr int64_t kMaxCount = int64_t{1} << 24;

// Reads settings one by one. A key that is null counts as absent, as transformers has it.
class Settings {
 public:
  Settings(const Json& json, std::string where) : json_(json), where_(std::move(where)) {
    if (!json_.is_object()) fail_input(where_ + "expected an object");
  }

  bool contains(const char* key) const { return json_.contains(key); }
  bool has(const char* key) const { return json_.contains(key) && !json_[key].is_null(); }

  int64_t count(const char* key) const {
    const Json& value = present(key);
    if (!value.is_number_integer() || value < 1 || value > kMaxCount) {
      reject(key, "expected a whole number from 1 to " + std::to_string(kMaxCount) + ", got " +
                      shown(dump_json(value)));
    }
    return value.get<int64_t>();
  }
  int64_t count_or(const char* key, int64_t absent) const { return has(key) ? count(key) : absent; }

  double positive(const char* key) const {
    const Json& value = present(key);
    if (!value.is_number() || !(value.get<double>() > 0) || !std::isfinite(value.get<double>())) {
      reject(key, "expected a positive number, got " + shown(dump_json(value)));
    }
    return value.get<double>();
  }
  double positive_or(const char* key, double absent) const {
    return has(key) ? positive(key) : absent;
  }

  bool flag_or(const char* key, bool absent) const {
    if (!has(key)) return absent;
    if (!json_[key].is_boolean()) reject(key, "expected true or false");
    return json_[key].get<bool>();
  }

  std::string text_or(const char* key, std::string absent) const {
    if (!has(key)) return absent;
    if (!json_[key].is_string()) reject(key, "expected a string");
    return json_[key].get<std::string>();
  }

  std::vector<std::string> texts_or(const char* key, std::vector<std::string> absent) const {
    if (!has(key)) return absent;
    std::vector<std::string> texts;
    for (const Json& text : json_[key]) {
      if (!text.is_string()) reject(key, "expected an array of strings");
      texts.push_back(text.get<std::string>());
    }
    return texts;
  }

  Settings part(const char* key) const { return {present(key), where_ + "'" + key + "': "}; }

  [[noreturn]] void reject(const std::string& key, const std::string& why) const {
    fail_input(where_ + "'" + key + "': " + why);
  }
  [[noreturn]] void refuse(const std::string& key, const std::string& value,
                           const std::string& known) const {
    fail(ErrorCode::kUnsupported,
         where_ + "'" + key + "': " + shown(value) + " where " + known + " is supported");
  }

 private:
  const Json& present(const char* key) const {
    if (!has(key)) reject(key, "missing");
    return json_[key];
  }

  const Json& json_;
  std::string where_;
};

void read_yarn(const Settings& in, int64_t max_positions, RotaryConfig& rotary) {
  rotary.scaling = RotaryScaling::kYarn;
  rotary.original_positions =
      in.positive_or("original_max_position_embeddings", static_cast<double>(max_positions));
  rotary.factor =
      in.positive_or("factor", static_cast<double>(max_positions) / rotary.original_positions);
  rotary.fast_turns = in.positive_or("beta_fast", rotary.fast_turns);
  rotary.slow_turns = in.positive_or("beta_slow", rotary.slow_turns);
  rotary.whole_places = in.flag_or("truncate", true);
  const bool has_scales = in.has("mscale") && in.has("mscale_all_dim");
  const auto growth = [&](const char* scale) {
    return yarn_attention_factor(rotary.factor, has_scales ? in.positive(scale) : 1);
  };
  rotary.attention_factor = in.positive_or(
      "attention_factor", growth("mscale") / (has_scales ? growth("mscale_all_dim") : 1));
}

RotaryConfig read_scaling(const Settings& in, double theta, int64_t max_positions) {
  RotaryConfig rotary{.theta = theta};
  const std::string type = in.text_or("rope_type", in.text_or("type", "default"));
  if (type == "linear") {
    rotary.scaling = RotaryScaling::kLinear;
    rotary.factor = in.positive("factor");
  } else if (type == "llama3") {
    rotary.scaling = RotaryScaling::kLlama3;
    rotary.factor = in.positive("factor");
    rotary.low_factor = in.positive("low_freq_factor");
    rotary.high_factor = in.positive("high_freq_factor");
    rotary.original_positions = in.positive("original_max_position_embeddings");
    if (rotary.high_factor <= rotary.low_factor) {
      in.refuse("high_freq_factor", "no more than low_freq_factor", "more");
    }
  } else if (type == "yarn") {
    read_yarn(in, max_positions, rotary);
  } else if (type != "default") {
    in.refuse("rope_type", "'" + type + "'", "default, linear, llama3 or yarn");
  }
  return rotary;
}

constexpr double kTheta = 10000;

// Old files give theta and scaling apart, newer ones together.
RotaryConfig read_rotary(const Settings& in, double default_theta, int64_t max_positions) {
  if (in.has("rope_parameters")) {
    const Settings rope = in.part("rope_parameters");
    return read_scaling(rope, rope.positive_or("rope_theta", default_theta), max_positions);
  }
  const double theta = in.positive_or("rope_theta", default_theta);
  return in.has("rope_scaling") ? read_scaling(in.part("rope_scaling"), theta, max_positions)
                                : RotaryConfig{.theta = theta};
}

// What the families differ in.
struct Architecture {
  const char* model_type;
  bool qkv_bias, qk_norm;
  bool gemma;  // its norms, embedding scale, activation, windows and two rotations
};
constexpr Architecture kArchitectures[] = {
    {.model_type = "llama", .qkv_bias = false, .qk_norm = false, .gemma = false},
    {.model_type = "mistral", .qkv_bias = false, .qk_norm = false, .gemma = false},
    {.model_type = "qwen2", .qkv_bias = true, .qk_norm = false, .gemma = false},
    {.model_type = "qwen3", .qkv_bias = false, .qk_norm = true, .gemma = false},
    {.model_type = "gemma3_text", .qkv_bias = false, .qk_norm = true, .gemma = true},
};

const Architecture& find_architecture(const Settings& in) {
  const std::string type = in.text_or("model_type", "");
  std::string known;
  for (const auto& architecture : kArchitectures) {
    if (type == architecture.model_type) return architecture;
    known += (known.empty() ? "" : ", ") + std::string(architecture.model_type);
  }
  in.refuse("model_type", "'" + type + "'", "one of " + known);
}

void refuse_other_parts(const Settings& in, const Architecture& architecture) {
  const char* const key = architecture.gemma ? "hidden_activation" : "hidden_act";
  const std::string known = architecture.gemma ? "gelu_pytorch_tanh" : "silu";
  const std::string activation = in.text_or(key, known);
  if (activation != known) in.refuse(key, "'" + activation + "'", known);
  for (const char* part : {"attention_bias", "mlp_bias", "use_bidirectional_attention"}) {
    if (in.flag_or(part, false)) in.refuse(part, "true", "false");
  }
  if (in.has("quantization_config")) {
    in.refuse("quantization_config", "an already quantised model", "an unquantised one or GGUF");
  }
}

void read_shape(const Settings& in, TransformerConfig& c) {
  c.layers = in.count("num_hidden_layers");
  c.width = in.count("hidden_size");
  c.heads = in.count("num_attention_heads");
  c.kv_heads = in.count_or("num_key_value_heads", c.heads);
  if (c.heads % c.kv_heads != 0) {
    in.reject("num_key_value_heads", std::to_string(c.kv_heads) + " does not divide the " +
                                         std::to_string(c.heads) + " heads");
  }
  if (!in.has("head_dim") && c.width % c.heads != 0) {
    in.reject("hidden_size", std::to_string(c.width) + " is no multiple of the " +
                                 std::to_string(c.heads) + " heads");
  }
  c.head_dim = in.count_or("head_dim", c.width / c.heads);
  if (c.head_dim % 2 != 0) in.reject("head_dim", "expected an even number");
  c.mlp_width = in.count("intermediate_size");
  c.vocabulary = in.count("vocab_size");
  c.max_positions = in.count("max_position_embeddings");
  c.norm_epsilon = in.positive("rms_norm_eps");
}

// Which layers have a window, by the file's list or else by `has_window`.
template <class HasWindow>
void read_windows(const Settings& in, int64_t window, TransformerConfig& c,
                  const HasWindow& has_window) {
  c.window = window;
  const auto types = in.texts_or("layer_types", {});
  if (!types.empty() && static_cast<int64_t>(types.size()) != c.layers) {
    in.reject("layer_types",
              "expected one for each of the " + std::to_string(c.layers) + " layers");
  }
  for (int64_t i = 0; i < c.layers; ++i) {
    if (types.empty()) {
      c.has_window.push_back(has_window(i));
      continue;
    }
    const std::string& type = types[static_cast<size_t>(i)];
    if (type != "sliding_attention" && type != "full_attention") {
      in.refuse("layer_types", "'" + type + "'", "full_attention or sliding_attention");
    }
    c.has_window.push_back(type == "sliding_attention");
  }
}

void read_attention(const Settings& in, const std::string& type, TransformerConfig& c) {
  c.rotary = c.local_rotary = read_rotary(in, kTheta, c.max_positions);
  if (type == "mistral") {
    // Absent means the default of Mistral's first version, null none.
    if (in.has("sliding_window") || !in.contains("sliding_window")) {
      read_windows(in, in.count_or("sliding_window", 4096), c, [](int64_t) { return true; });
    }
  } else if (in.flag_or("use_sliding_window", false) && in.has("sliding_window")) {
    const int64_t first = in.count_or("max_window_layers", 28);
    read_windows(in, in.count("sliding_window"), c, [=](int64_t i) { return i >= first; });
  }
}

void read_gemma(const Settings& in, TransformerConfig& c) {
  c.activation = Activation::kGeluTanh;
  c.post_norms = c.norms_add_one = true;
  c.embedding_scale = std::sqrt(static_cast<double>(c.width));
  c.query_scalar = in.positive_or("query_pre_attn_scalar", 256);
  // transformers has the setting and does not apply it: whichever was meant, it is not for us to
  // guess. Gemma's own files have none.
  if (in.has("attn_logit_softcapping")) in.refuse("attn_logit_softcapping", "a number", "null");
  c.logit_softcap = in.positive_or("final_logit_softcapping", 0);
  const int64_t pattern = in.count_or("sliding_window_pattern", 6);
  read_windows(in, in.count_or("sliding_window", 4096), c,
               [=](int64_t i) { return (i + 1) % pattern != 0; });

  constexpr double kGlobalTheta = 1e6;
  const Settings rope = in.has("rope_parameters") ? in.part("rope_parameters") : in;
  if (rope.has("full_attention")) {
    const Settings global = rope.part("full_attention"), local = rope.part("sliding_attention");
    c.rotary =
        read_scaling(global, global.positive_or("rope_theta", kGlobalTheta), c.max_positions);
    c.local_rotary = read_scaling(local, local.positive_or("rope_theta", kTheta), c.max_positions);
  } else {
    c.rotary = read_rotary(in, kGlobalTheta, c.max_positions);
    c.local_rotary = {.theta = in.positive_or("rope_local_base_freq", kTheta)};
  }
}

}  // namespace

TransformerConfig config_from_json(const Json& json, const std::string& where) {
  const Settings in(json, where);
  const Architecture& architecture = find_architecture(in);
  refuse_other_parts(in, architecture);
  TransformerConfig c;
  read_shape(in, c);
  c.tied_head = in.flag_or("tie_word_embeddings", architecture.gemma);
  c.qkv_bias = architecture.qkv_bias;
  c.qk_norm = architecture.qk_norm;
  if (architecture.gemma) {
    read_gemma(in, c);
  } else {
    read_attention(in, architecture.model_type, c);
  }
  return c;
}

}  // namespace l2a
