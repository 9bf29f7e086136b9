// `learn2ask model logits` and `generate`: for whoever wants to hold the engine against another.
#include "cli/model_actions.h"

#include <cstdio>
#include <memory>
#include <optional>
#include <vector>

#include "base/json.h"
#include "cli/json_lines.h"
#include "cli/model_files.h"
#include "cli/openai_dialogue.h"
#include "dialogue/policy.h"
#include "model/lora.h"
#include "model/transformer.h"
#include "rollout/rollout.h"
#include "weights/safetensors.h"

namespace l2a {
namespace {

struct RunOptions {
  std::string model, adapter, type = "fp32", device = "cpu";
  bool keep_quantized = false, batch_invariant = false, int8_generation = false;

  ModelOptions load_options() const {
    return {.compute = type == "fp32" ? ComputeType::kFloat32 : ComputeType::kBfloat16,
            .device = device,
            .keep_quantized = keep_quantized,
            .batch_invariant = batch_invariant,
            .int8_generation = int8_generation};
  }
};

// A model as these actions were asked to run it.
struct LoadedModel {
  explicit LoadedModel(const RunOptions& options)
      : files(open_model(options.model)), model(Transformer::load(files, options.load_options())) {
    if (!options.adapter.empty()) adapter = LoraAdapter::load(options.adapter, model.config());
  }
  const LoraAdapter* adapter_or_null() const { return adapter ? &*adapter : nullptr; }

  Checkpoint files;
  Transformer model;
  std::optional<LoraAdapter> adapter;
};

Result<std::vector<int32_t>> ids_from_json(const Json& line, const TransformerConfig& config) {
  const auto refuse = [](const std::string& why) { return Error{ErrorCode::kInvalidInput, why}; };
  if (!line.is_array() || line.empty()) return refuse("expected an array of token ids");
  if (line.size() > static_cast<size_t>(config.max_positions)) {
    return refuse(std::to_string(line.size()) + " ids where the model has " +
                  std::to_string(config.max_positions) + " positions");
  }
  std::vector<int32_t> ids;
  for (const Json& id : line) {
    if (!id.is_number_integer() || id < 0 || id >= config.vocabulary) {
      return refuse("expected token ids from 0 to " + std::to_string(config.vocabulary - 1));
    }
    ids.push_back(id.get<int32_t>());
  }
  return ids;
}

void write_logits(const RunOptions& options, const std::string& ids_file, const std::string& out) {
  const LoadedModel loaded(options);
  const Transformer& model = loaded.model;
  std::vector<at::Tensor> logits;
  for_each_json_line(ids_file, [&](const Json& line) -> std::optional<Error> {
    const auto ids = ids_from_json(line, model.config());
    if (!ids) return ids.error();
    const std::vector<std::vector<int32_t>> rows = {*ids};
    const TreeCache pass = model.prefill(build_token_tree(rows), loaded.adapter_or_null());
    logits.push_back(model.logits(pass.hidden_nd).cpu().contiguous());
    return std::nullopt;
  });
  std::vector<StoredTensor> tensors;
  for (size_t i = 0; i < logits.size(); ++i) {
    const auto* data = static_cast<const std::byte*>(logits[i].const_data_ptr());
    tensors.push_back({"logits." + std::to_string(i),
                       ElementType::kF32,
                       logits[i].sizes().vec(),
                       {data, logits[i].nbytes()}});
  }
  write_safetensors(out, tensors, {});
}

void generate(const RunOptions& options, const std::string& messages,
              const std::string& chat_template, const DecodingOptions& decoding) {
  const LoadedModel loaded(options);
  const BpeTokenizer tokenizer = load_tokenizer(loaded.files);
  const ChatTemplate chat = load_chat_template(loaded.files, tokenizer, chat_template);
  uint64_t row = 0;
  for_each_json_line(messages, [&](const Json& line) -> std::optional<Error> {
    const auto dialogue = dialogue_from_json(line);
    if (!dialogue) return dialogue.error();
    if (const auto why = chat.refusal(dialogue->system, dialogue->turns)) {
      return Error{ErrorCode::kInvalidInput, *why};
    }
    const std::vector<RolloutSession> sessions = {
        {.contexts = {chat.context_ids(dialogue->system, dialogue->turns)}, .keys = {row++}}};
    const auto replies =
        sample_rollouts(loaded.model, loaded.adapter_or_null(), chat, sessions, decoding);
    const Rollout& reply = replies.at(0).at(0).at(0);
    std::printf(
        "%s\n",
        dump_json({{"text", reply.text}, {"ids", reply.ids}, {"truncated", reply.truncated}})
            .c_str());
    std::fflush(stdout);
    return std::nullopt;
  });
}

void add_run_options(CLI::App& action, RunOptions& options) {
  add_model_argument(action, options.model);
  action.add_option("--adapter", options.adapter, "Folder of a PEFT adapter");
  action.add_option("--dtype", options.type, "Type of the arithmetic")
      ->check(CLI::IsMember({"fp32", "bf16"}))
      ->capture_default_str();
  action.add_option("--device", options.device, "Where the model runs: cpu, cuda, cuda:1")
      ->capture_default_str();
  action.add_flag("--keep-quantized", options.keep_quantized,
                  "Widen the layers' weights from the file for each pass: less memory, slower");
  action.add_flag("--batch-invariant", options.batch_invariant,
                  "The same bits for any number of threads and whatever else is in the batch");
}

void add_logits_action(CLI::App& command) {
  auto* action = command.add_subcommand(
      "logits", "Logits of token rows: an array of ids a line in, tensors logits.0, ... out");
  struct Arguments {
    RunOptions run;
    std::string ids, out;
  };
  auto arguments = std::make_shared<Arguments>();
  add_run_options(*action, arguments->run);
  action->add_option("--ids", arguments->ids, "File of token rows; -: standard input")->required();
  action->add_option("--out", arguments->out, "Safetensors file, float32 [tokens, vocabulary]")
      ->required();
  action->callback([arguments] { write_logits(arguments->run, arguments->ids, arguments->out); });
}

void add_generate_action(CLI::App& command) {
  auto* action = command.add_subcommand(
      "generate",
      "Replies to dialogues: an array of {\"role\", \"content\"} a line in, {\"text\", \"ids\", "
      "\"truncated\"} a line out");
  struct Arguments {
    RunOptions run;
    std::string messages, chat_template;
    DecodingOptions decoding;
  };
  auto arguments = std::make_shared<Arguments>();
  add_run_options(*action, arguments->run);
  action->add_option("--messages", arguments->messages, "File of dialogues; -: standard input")
      ->required();
  add_chat_template_option(*action, arguments->chat_template);
  action->add_flag("--int8-generation", arguments->run.int8_generation,
                   "Multiply in eight bits: faster, nearly the same");
  DecodingOptions& decoding = arguments->decoding;
  action->add_option("--max-tokens", decoding.max_reply_tokens, "A longer reply is cut")
      ->check(CLI::Range(1, 1 << 20))
      ->capture_default_str();
  action->add_option("--temperature", decoding.temperature, "0: the likeliest token")
      ->check(CLI::Range(0.0, 10.0))
      ->capture_default_str();
  action->add_option("--seed", decoding.seed, "Of the sampling")->capture_default_str();
  action->callback([arguments] {
    generate(arguments->run, arguments->messages, arguments->chat_template, arguments->decoding);
  });
}

}  // namespace

void add_model_argument(CLI::App& action, std::string& path) {
  action.add_option(
      "MODEL", path,
      "GGUF file or Hugging Face folder (default: the embedded SmolLM2-135M-Instruct)");
}

void add_chat_template_option(CLI::App& action, std::string& name) {
  action.add_option("--chat-template", name,
                    "Chat format: chatml, llama3, gemma3, ... (default: the one that the model's "
                    "own template is)");
}

void add_model_run_actions(CLI::App& command) {
  add_logits_action(command);
  add_generate_action(command);
}

}  // namespace l2a
