#include "weights/gguf_names.h"

#include <charconv>

#include "base/utf8.h"

namespace l2a {
namespace {

constexpr GgufArchitecture kArchitectures[] = {
    {.gguf = "llama", .model_type = "llama", .neighbour_pairs = true, .gemma_norms = false},
    {.gguf = "qwen2", .model_type = "qwen2", .neighbour_pairs = false, .gemma_norms = false},
    {.gguf = "qwen3", .model_type = "qwen3", .neighbour_pairs = false, .gemma_norms = false},
    {.gguf = "gemma3", .model_type = "gemma3_text", .neighbour_pairs = false, .gemma_norms = true},
};

struct NamePair {
  std::string_view gguf, hugging_face;
};

constexpr NamePair kModelNames[] = {
    {"token_embd.weight", "model.embed_tokens.weight"},
    {"output_norm.weight", "model.norm.weight"},
    {"output.weight", "lm_head.weight"},
    // Divisors of the rotary frequencies, which Hugging Face computes from its settings.
    {"rope_freqs.weight", "rope_freqs.weight"},
};
constexpr NamePair kLayerNames[] = {
    {"attn_norm.weight", "input_layernorm.weight"},
    {"attn_q.weight", "self_attn.q_proj.weight"},
    {"attn_k.weight", "self_attn.k_proj.weight"},
    {"attn_v.weight", "self_attn.v_proj.weight"},
    {"attn_output.weight", "self_attn.o_proj.weight"},
    {"attn_q.bias", "self_attn.q_proj.bias"},
    {"attn_k.bias", "self_attn.k_proj.bias"},
    {"attn_v.bias", "self_attn.v_proj.bias"},
    {"attn_output.bias", "self_attn.o_proj.bias"},
    {"attn_q_norm.weight", "self_attn.q_norm.weight"},
    {"attn_k_norm.weight", "self_attn.k_norm.weight"},
    {"ffn_gate.weight", "mlp.gate_proj.weight"},
    {"ffn_up.weight", "mlp.up_proj.weight"},
    {"ffn_down.weight", "mlp.down_proj.weight"},
};
constexpr NamePair kNormNames[] = {
    {"ffn_norm.weight", "post_attention_layernorm.weight"},
};
constexpr NamePair kGemmaNormNames[] = {
    {"post_attention_norm.weight", "post_attention_layernorm.weight"},
    {"ffn_norm.weight", "pre_feedforward_layernorm.weight"},
    {"post_ffw_norm.weight", "post_feedforward_layernorm.weight"},
};

// The other name of a pair; `from` and `to` say in which direction.
std::optional<std::string> find_name(std::span<const NamePair> pairs,
                                     std::string_view NamePair::* from,
                                     std::string_view NamePair::* to, std::string_view name) {
  for (const auto& pair : pairs) {
    if (pair.*from == name) return std::string(pair.*to);
  }
  return std::nullopt;
}

// The same of a tensor of whichever layer, "blk.N." or "model.layers.N." before its own name.
std::optional<std::string> translate(const GgufArchitecture& architecture, std::string_view name,
                                     std::string_view NamePair::* from,
                                     std::string_view NamePair::* to) {
  const bool from_gguf = from == &NamePair::gguf;
  const std::string_view gguf_layer = "blk.", their_layer = "model.layers.";
  const std::string_view opens = from_gguf ? gguf_layer : their_layer;
  if (!name.starts_with(opens)) return find_name(kModelNames, from, to, name);
  const std::string_view rest = name.substr(opens.size());
  const size_t dot = rest.find('.');
  if (dot == rest.npos || dot == 0 ||
      rest.substr(0, dot).find_first_not_of("0123456789") != rest.npos) {
    return std::nullopt;
  }
  const std::string_view part = rest.substr(dot + 1);
  auto other = find_name(kLayerNames, from, to, part);
  if (!other) {
    other = architecture.gemma_norms ? find_name(kGemmaNormNames, from, to, part)
                                     : find_name(kNormNames, from, to, part);
  }
  if (!other) return std::nullopt;
  return std::string(from_gguf ? their_layer : gguf_layer) + std::string(rest.substr(0, dot)) +
         "." + *other;
}

// Reads an architecture's settings one by one into a config.json.
class ConfigReader {
 public:
  ConfigReader(const GgufFile& file, const GgufArchitecture& architecture)
      : file_(file), prefix_(std::string(architecture.gguf) + ".") {}

  bool has(const char* key) const { return file_.metadata().contains(prefix_ + key); }

  int64_t whole(const char* gguf) const {
    const int64_t value = file_.get_int(prefix_ + gguf);
    if (value < 1 || value > kMaxCount) {
      fail_input("model: " + prefix_ + gguf + ": " + std::to_string(value) + " is out of range");
    }
    return value;
  }
  void count(const char* gguf, const char* hugging_face) { config[hugging_face] = whole(gguf); }
  void count_if(const char* gguf, const char* hugging_face) {
    if (has(gguf)) count(gguf, hugging_face);
  }
  double number(const char* gguf) const { return file_.get_float(prefix_ + gguf); }
  void number_if(const char* gguf, const char* hugging_face) {
    if (has(gguf)) config[hugging_face] = number(gguf);
  }
  std::string text(const char* gguf) const { return file_.get_string(prefix_ + gguf); }

  Json config = Json::object();

 private:
  static constexpr int64_t kMaxCount = int64_t{1} << 24;
  const GgufFile& file_;
  std::string prefix_;
};

Json rope_scaling(const ConfigReader& in) {
  const std::string type = in.text("rope.scaling.type");
  Json scaling = {{"rope_type", type == "none" ? "default" : type}};
  const auto number_if = [&](const char* gguf, const char* hugging_face) {
    if (in.has(gguf)) scaling[hugging_face] = in.number(gguf);
  };
  number_if("rope.scaling.factor", "factor");
  if (type != "yarn") return scaling;
  constexpr const char* kOriginal = "rope.scaling.original_context_length";
  if (in.has(kOriginal)) scaling["original_max_position_embeddings"] = in.whole(kOriginal);
  number_if("rope.scaling.yarn_beta_fast", "beta_fast");
  number_if("rope.scaling.yarn_beta_slow", "beta_slow");
  for (const char* other :
       {"attn_factor", "yarn_attn_factor", "yarn_ext_factor", "yarn_log_multiplier"}) {
    const std::string key = std::string("rope.scaling.") + other;
    if (in.has(key.c_str())) {
      fail(ErrorCode::kUnsupported, "model: '" + key + "': not a setting that we know");
    }
  }
  return scaling;
}

// What GGUF files of Gemma 3 leave to the program that reads them (llama.cpp, src/llama-model.cpp).
void set_gemma_constants(Json& config) {
  constexpr int64_t kLayersOf27B = 62;
  config["rope_local_base_freq"] = 10000.0;
  config["sliding_window_pattern"] = 6;
  const int64_t width = config["hidden_size"], heads = config["num_attention_heads"];
  const int64_t per_head = width / heads;
  config["query_pre_attn_scalar"] =
      config["num_hidden_layers"] == kLayersOf27B ? per_head : config.value("head_dim", per_head);
}

}  // namespace

const GgufArchitecture& architecture_of(const GgufFile& file) {
  const std::string& name = file.get_string("general.architecture");
  std::string known;
  for (const auto& architecture : kArchitectures) {
    if (name == architecture.gguf) return architecture;
    known += (known.empty() ? "" : ", ") + std::string(architecture.gguf);
  }
  fail(ErrorCode::kUnsupported,
       "model: architecture '" + shown(name) + "': not one of the known ones (" + known + ")");
}

const GgufArchitecture& architecture_for(const std::string& model_type) {
  // A Mistral model is one of Llama with windows.
  const std::string name = model_type == "mistral" ? "llama" : model_type;
  for (const auto& architecture : kArchitectures) {
    if (name == architecture.model_type) return architecture;
  }
  fail(ErrorCode::kUnsupported,
       "model: 'model_type': '" + shown(model_type) + "' where GGUF has no architecture for it");
}

std::optional<std::string> hugging_face_name(const GgufArchitecture& architecture,
                                             std::string_view gguf_name) {
  return translate(architecture, gguf_name, &NamePair::gguf, &NamePair::hugging_face);
}

std::optional<std::string> gguf_name(const GgufArchitecture& architecture,
                                     std::string_view hugging_face_name) {
  return translate(architecture, hugging_face_name, &NamePair::hugging_face, &NamePair::gguf);
}

Json config_from_gguf(const GgufFile& file) {
  const GgufArchitecture& architecture = architecture_of(file);
  ConfigReader in(file, architecture);
  in.config["model_type"] = architecture.model_type;
  in.count("block_count", "num_hidden_layers");
  in.count("embedding_length", "hidden_size");
  in.count("attention.head_count", "num_attention_heads");
  in.count_if("attention.head_count_kv", "num_key_value_heads");
  in.count_if("attention.key_length", "head_dim");
  in.count("feed_forward_length", "intermediate_size");
  in.count("context_length", "max_position_embeddings");
  in.config["rms_norm_eps"] = in.number("attention.layer_norm_rms_epsilon");
  in.number_if("rope.freq_base", "rope_theta");
  in.count_if("attention.sliding_window", "sliding_window");
  in.number_if("final_logit_softcapping", "final_logit_softcapping");
  if (in.has("rope.scaling.type")) in.config["rope_scaling"] = rope_scaling(in);

  if (in.config["model_type"] == "llama" && in.has("attention.sliding_window")) {
    in.config["model_type"] = "mistral";
  }
  if (architecture.gemma_norms) set_gemma_constants(in.config);

  const StoredTensor* embedding = file.find("token_embd.weight");
  if (!embedding || embedding->shape.size() != 2) fail_input("model: token_embd.weight: missing");
  in.config["vocab_size"] = embedding->shape[0];
  in.config["tie_word_embeddings"] = file.find("output.weight") == nullptr;
  return in.config;
}

}  // namespace l2a
