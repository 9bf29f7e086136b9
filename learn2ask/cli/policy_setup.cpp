#include "cli/policy_setup.h"

#include <cstdio>
#include <filesystem>

#include <ATen/Parallel.h>

#include "base/file.h"
#include "cli/model_files.h"

namespace l2a {
namespace {

Transformer load_model(const PolicyOptions& options, const Checkpoint& files) {
  static const int kOneACore = at::get_num_threads();  // before an earlier step changed it
  at::set_num_threads(options.threads > 0 ? static_cast<int>(options.threads) : kOneACore);
  ModelOptions model;
  model.compute = options.compute == "float32" ? ComputeType::kFloat32 : ComputeType::kBfloat16;
  model.device = options.device;
  model.keep_quantized = options.keep_quantized;
  model.recompute_activations = options.recompute_activations;
  model.int8_generation = options.int8_generation;
  model.batch_invariant = options.deterministic == "batch_invariant";
  return Transformer::load(files, model);
}

// A GGUF file's name less its ending; a folder's whole name, which may have dots in it.
std::string name_of(const Checkpoint& files) {
  const auto path = std::filesystem::absolute(files.path() / ".").lexically_normal().parent_path();
  return files.gguf() ? files.path().stem().string() : path.filename().string();
}

}  // namespace

PolicySetup::PolicySetup(const PolicyOptions& options, Fusion fusion)
    : PolicySetup(options, fusion, open_model(options.model)) {}

PolicySetup::PolicySetup(const PolicyOptions& options, Fusion fusion, const Checkpoint& files)
    : model_name(name_of(files)),
      format(reply_format_from_name(options.reply_format).value_or_throw()),
      prompt(read_policy_prompt(options.prompt, options.reply_format, fusion)),
      tokenizer(load_tokenizer(files)),
      chat(load_chat_template(files, tokenizer, options.chat_template)),
      model(load_model(options, files)),
      model_files_(model_files(files)),
      user_opens_(options.user_opens),
      cut_oldest_turns_(options.cut_oldest_turns) {
  if (const auto gap = chat.prefix_gap()) {
    std::fprintf(stderr, "chat template %s: %s; session trees share what is alike\n",
                 chat.name().c_str(), gap->c_str());
  }
}

ContextWindow PolicySetup::window() const {
  return {chat,
          {.system_prompt = prompt.text,
           .max_positions = model.config().max_positions,
           .cut_oldest_turns = cut_oldest_turns_,
           .user_opens = user_opens_}};
}

std::pair<std::string, std::string> PolicySetup::prompt_hash() const {
  return {prompt.name, sha256_hex(prompt.text)};
}

std::string PolicySetup::model_sha256() const {
  if (model_files_.size() == 1) return sha256_file(model_files_.front());
  std::string hashes;
  for (const auto& file : model_files_) {
    hashes += file.filename().string() + " " + sha256_file(file) + "\n";
  }
  return sha256_hex(hashes);
}

}  // namespace l2a
