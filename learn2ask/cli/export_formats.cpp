#include "cli/export_formats.h"

#include <map>

#include <torch/autograd.h>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "base/utf8.h"
#include "cli/gguf_tokenizer.h"
#include "cli/model_files.h"
#include "model/merge.h"
#include "model/rotary.h"
#include "tokenizer/tokenizer_json_writer.h"
#include "weights/gguf_names.h"
#include "weights/gguf_writer.h"
#include "weights/head_pairs.h"
#include "weights/safetensors.h"

namespace l2a {
namespace {

namespace fs = std::filesystem;

constexpr const char* kHead = "lm_head.weight";
constexpr const char* kRotaryDivisors = "rope_freqs.weight";

std::span<const float> values_of(const at::Tensor& tensor) {
  return {tensor.const_data_ptr<float>(), static_cast<size_t>(tensor.numel())};
}

// The tensors that the model computes with: no frequencies, no copy of a tied head.
std::vector<std::string> tensor_names(const ExportSource& source) {
  std::vector<std::string> names;
  for (const std::string& name : source.files.names()) {
    const bool is_copy = source.config.tied_head && name == kHead;
    if (!is_copy && !name.ends_with(".rotary_emb.inv_freq") && name != kRotaryDivisors) {
      names.push_back(name);
    }
  }
  return names;
}

// Makes tensors as they are written, and knows in the end whether training changed any byte.
class MergedTensors {
 public:
  using Reorder = std::function<void(const std::string& name, at::Tensor& values)>;

  MergedTensors(const ExportSource& source, Reorder reorder)
      : source_(source),
        reorder_(std::move(reorder)),
        changed_(!source.trained || source.may_be_unchanged) {}

  std::vector<std::byte> bytes(const std::string& name, ElementType type) {
    auto merged = stored(name, type, source_.trained);
    if (!changed_ && source_.trained->changes(name)) {
      changed_ = merged != stored(name, type, nullptr);
    }
    return merged;
  }

  // To be asked before the file gets its name.
  void refuse_unchanged(ElementType type) const {
    if (changed_) return;
    fail_input(std::string("export: the adapter changes no weight in ") + element_name(type) +
               ": it is untrained, or smaller than the type's rounding");
  }

 private:
  std::vector<std::byte> stored(const std::string& name, ElementType type,
                                const TrainedWeights* trained) const {
    at::Tensor values = merged_tensor(source_.files, trained, name);
    reorder_(name, values);
    try {
      return quantize(type, values_of(values));
    } catch (const Failure& e) {
      fail_input("export: tensor '" + name + "': " + e.error.message);
    }
  }

  const ExportSource& source_;
  Reorder reorder_;
  bool changed_;  // or need not be
};

const char* dtype_name(ElementType type) {
  switch (type) {
    case ElementType::kF16:
      return "float16";
    case ElementType::kBf16:
      return "bfloat16";
    default:
      return "float32";
  }
}

// transformers' class for a model_type.
const char* model_class(const std::string& model_type) {
  static const std::map<std::string, const char*> classes = {{"llama", "LlamaForCausalLM"},
                                                             {"mistral", "MistralForCausalLM"},
                                                             {"qwen2", "Qwen2ForCausalLM"},
                                                             {"qwen3", "Qwen3ForCausalLM"},
                                                             {"gemma3_text", "Gemma3ForCausalLM"}};
  return classes.at(model_type);
}

Json folder_config(const ExportSource& source, ElementType type) {
  Json config = source.files.config();
  config.erase("torch_dtype");
  config["dtype"] = dtype_name(type);
  config["architectures"] = {model_class(config["model_type"])};
  if (!source.files.gguf()) return config;
  for (const char* token : {"bos", "eos"}) {
    const auto id =
        source.files.gguf()->find_int(std::string("tokenizer.ggml.") + token + "_token_id");
    config[std::string(token) + "_token_id"] = id ? Json(*id) : Json();
  }
  return config;
}

// Of a folder: its own files but the weights; of a GGUF file, made from its metadata.
void put_tokenizer(const Checkpoint& files, const fs::path& folder) {
  if (!files.gguf()) {
    for (const auto& entry : fs::directory_iterator(files.path())) {
      const std::string name = entry.path().filename().string();
      const bool is_weights =
          name == "config.json" || name.ends_with(".index.json") || name.ends_with(".safetensors");
      const bool is_small = name.ends_with(".json") || name.ends_with(".jinja") ||
                            name.ends_with(".txt") || name == "tokenizer.model";
      if (entry.is_regular_file() && is_small && !is_weights) {
        write_file_atomic(folder / name, read_file(entry.path()));
      }
    }
    return;
  }
  const BpeVocabulary vocabulary = load_vocabulary(files);
  write_file_atomic(folder / "tokenizer.json", dump_json(tokenizer_json(vocabulary)) + "\n");
  const BosEos tokens = load_bos_eos(files);
  Json config = {{"tokenizer_class", "PreTrainedTokenizerFast"},
                 {"clean_up_tokenization_spaces", false}};
  if (!tokens.bos.empty()) config["bos_token"] = tokens.bos;
  if (!tokens.eos.empty()) config["eos_token"] = tokens.eos;
  if (const auto jinja = load_chat_template_text(files)) config["chat_template"] = *jinja;
  write_file_atomic(folder / "tokenizer_config.json", config.dump(2) + "\n");
}

[[noreturn]] void cannot_say(const std::string& what) {
  fail(ErrorCode::kUnsupported, "export: GGUF cannot say " + what);
}

// What a reader of GGUF takes for granted has to be so.
void check_sayable(const ExportSource& source) {
  const TransformerConfig& c = source.config;
  const std::string type = source.files.config()["model_type"];
  const bool is_gemma = type == "gemma3_text";
  for (size_t i = 0; i < c.has_window.size(); ++i) {
    const bool expected = is_gemma ? (i + 1) % 6 != 0 : type == "mistral";
    if (c.has_window[i] != expected) cannot_say("which layers have a window");
  }
  if (c.rotary.scaling == RotaryScaling::kYarn &&
      (!c.rotary.whole_places ||
       c.rotary.attention_factor != yarn_attention_factor(c.rotary.factor))) {
    cannot_say("an attention_factor, mscale or truncate of yarn's scaling");
  }
  if (!is_gemma) return;
  const int64_t scalar = c.layers == 62 ? c.width / c.heads : c.head_dim;  // of 27B, and of others
  if (c.query_scalar.value_or(0) != static_cast<double>(scalar)) {
    cannot_say("another query_pre_attn_scalar than " + std::to_string(scalar));
  }
  if (c.local_rotary.theta != 10000 || c.local_rotary.scaling != RotaryScaling::kNone) {
    cannot_say("another rotation of layers with a window than that of base 10000");
  }
}

std::map<std::string, GgufValue> model_metadata(const ExportSource& source,
                                                const GgufArchitecture& architecture) {
  const TransformerConfig& c = source.config;
  std::map<std::string, GgufValue> metadata;
  const std::string prefix = std::string(architecture.gguf) + ".";
  const auto count = [&](const char* key, int64_t value) {
    metadata[prefix + key] = static_cast<uint64_t>(value);
  };
  const auto number = [&](const char* key, double value) { metadata[prefix + key] = value; };
  metadata["general.architecture"] = std::string(architecture.gguf);
  metadata["general.type"] = std::string("model");
  count("block_count", c.layers);
  count("embedding_length", c.width);
  count("feed_forward_length", c.mlp_width);
  count("context_length", c.max_positions);
  count("vocab_size", c.vocabulary);
  count("attention.head_count", c.heads);
  count("attention.head_count_kv", c.kv_heads);
  count("attention.key_length", c.head_dim);
  count("attention.value_length", c.head_dim);
  count("rope.dimension_count", c.head_dim);
  number("attention.layer_norm_rms_epsilon", c.norm_epsilon);
  number("rope.freq_base", c.rotary.theta);
  if (c.window > 0) count("attention.sliding_window", c.window);
  if (c.logit_softcap > 0) number("final_logit_softcapping", c.logit_softcap);
  if (c.rotary.scaling == RotaryScaling::kLinear) {
    metadata[prefix + "rope.scaling.type"] = std::string("linear");
    number("rope.scaling.factor", c.rotary.factor);
  }
  if (c.rotary.scaling == RotaryScaling::kYarn) {
    metadata[prefix + "rope.scaling.type"] = std::string("yarn");
    number("rope.scaling.factor", c.rotary.factor);
    count("rope.scaling.original_context_length",
          static_cast<int64_t>(c.rotary.original_positions));
    number("rope.scaling.yarn_beta_fast", c.rotary.fast_turns);
    number("rope.scaling.yarn_beta_slow", c.rotary.slow_turns);
  }
  return metadata;
}

void put_tokenizer(const Checkpoint& files, std::map<std::string, GgufValue>& metadata) {
  if (files.gguf()) {
    for (const auto& [key, value] : files.gguf()->metadata()) {
      if (key.starts_with("tokenizer.")) metadata[key] = value;
    }
    return;
  }
  metadata.merge(gguf_from_bpe(load_vocabulary(files), load_bos_eos(files)));
  if (const auto jinja = load_chat_template_text(files)) {
    metadata["tokenizer.chat_template"] = *jinja;
  }
}

// GGUF's number for what most of the file is, "general.file_type".
uint64_t file_type(ElementType type) {
  switch (type) {
    case ElementType::kF16:
      return 1;
    case ElementType::kQ8_0:
      return 7;
    case ElementType::kBf16:
      return 32;
    default:
      return 0;
  }
}

// A block type has no room for rows that are no whole blocks.
ElementType matrix_type(ElementType type, int64_t columns) {
  return type == ElementType::kQ8_0 && columns % 32 != 0 ? ElementType::kF16 : type;
}

int64_t paired_heads(const GgufArchitecture& architecture, const TransformerConfig& config,
                     const std::string& name) {
  if (!architecture.neighbour_pairs) return 0;
  if (name.find(".q_proj") != name.npos) return config.heads;
  return name.find(".k_proj") != name.npos ? config.kv_heads : 0;
}

std::string name_in_gguf(const GgufArchitecture& architecture, const std::string& name) {
  const auto translated = gguf_name(architecture, name);
  if (!translated) cannot_say("the tensor '" + shown(name) + "'");
  return *translated;
}

}  // namespace

void check_folder_can_say(const TransformerConfig& config) {
  if (config.rotary.divisors.empty()) return;
  fail(ErrorCode::kUnsupported,
       "export: the GGUF file has divisors of the rotary frequencies, which config.json cannot "
       "say: take the model's original folder");
}

void export_folder(const ExportSource& source, ElementType type, const fs::path& path) {
  check_folder_can_say(source.config);
  make_private_directory(path);
  write_file_atomic(path / "config.json", folder_config(source, type).dump(2) + "\n");
  put_tokenizer(source.files, path);
  std::vector<PlannedTensor> plan;
  for (const std::string& name : tensor_names(source)) {
    plan.push_back({name, type, source.files.stored(name).shape});
  }
  MergedTensors tensors(source, [](const std::string&, at::Tensor&) {});
  const auto bytes = [&](size_t i) {
    auto made = tensors.bytes(plan[i].name, type);
    if (i + 1 == plan.size()) tensors.refuse_unchanged(type);
    return made;
  };
  write_safetensors(path / "model.safetensors", plan, bytes, {{"format", "pt"}});
}

void export_gguf(const ExportSource& source, ElementType type, const fs::path& path) {
  check_sayable(source);
  const TransformerConfig& c = source.config;
  const GgufArchitecture& architecture = architecture_for(source.files.config()["model_type"]);
  auto metadata = model_metadata(source, architecture);
  metadata["general.file_type"] = file_type(type);
  if (type == ElementType::kQ8_0) metadata["general.quantization_version"] = uint64_t{2};
  put_tokenizer(source.files, metadata);

  const std::vector<std::string> names = tensor_names(source);
  std::vector<PlannedTensor> plan;
  for (const std::string& name : names) {
    const auto& shape = source.files.stored(name).shape;
    plan.push_back({name_in_gguf(architecture, name),
                    shape.size() == 2 ? matrix_type(type, shape[1]) : ElementType::kF32, shape});
  }
  const bool has_divisors =
      !c.rotary.divisors.empty() || c.rotary.scaling == RotaryScaling::kLlama3;
  if (has_divisors) plan.push_back({kRotaryDivisors, ElementType::kF32, {c.head_dim / 2}});

  MergedTensors tensors(source, [&](const std::string& name, at::Tensor& values) {
    if (architecture.gemma_norms && name.ends_with("norm.weight")) values += 1;
    const int64_t heads = paired_heads(architecture, c, name);
    if (heads > 0) {
      neighbours_from_halves({values.data_ptr<float>(), static_cast<size_t>(values.numel())}, heads,
                             values.size(0));
    }
  });
  const auto bytes = [&](size_t i) {
    auto made = i < names.size()
                    ? tensors.bytes(names[i], plan[i].type)
                    : quantize(ElementType::kF32, values_of(rotary_divisors(c.rotary, c.head_dim)));
    if (i + 1 == plan.size()) tensors.refuse_unchanged(type);
    return made;
  };
  write_gguf(path, metadata, plan, bytes);
}

void export_gguf_adapter(const Checkpoint& files, const TransformerConfig& config,
                         const LoraAdapter& adapter, const fs::path& path) {
  const torch::NoGradGuard no_grad;
  const GgufArchitecture& architecture = architecture_for(files.config()["model_type"]);
  const std::map<std::string, GgufValue> metadata = {
      {"general.architecture", std::string(architecture.gguf)},
      {"general.type", std::string("adapter")},
      {"general.file_type", file_type(ElementType::kF32)},
      {"adapter.type", std::string("lora")},
      {"adapter.lora.alpha", adapter.options().alpha}};
  std::vector<PlannedTensor> plan;
  std::vector<at::Tensor> values;
  for (const LoraPair& pair : adapter.pairs()) {
    const std::string name = name_in_gguf(architecture, pair.module + ".weight");
    at::Tensor b_or = pair.b_or.detach().clone();
    const int64_t heads = paired_heads(architecture, config, pair.module);
    if (heads > 0) {
      neighbours_from_halves({b_or.data_ptr<float>(), static_cast<size_t>(b_or.numel())}, heads,
                             b_or.size(0));
    }
    plan.push_back({name + ".lora_a", ElementType::kF32, pair.a_ri.sizes().vec()});
    values.push_back(pair.a_ri.detach());
    plan.push_back({name + ".lora_b", ElementType::kF32, b_or.sizes().vec()});
    values.push_back(std::move(b_or));
  }
  write_gguf(path, metadata, plan,
             [&](size_t i) { return quantize(ElementType::kF32, values_of(values[i])); });
}

}  // namespace l2a
