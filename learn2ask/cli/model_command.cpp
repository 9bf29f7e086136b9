// `learn2ask model`: what is in a model file, and what its tokenizer makes of text.
#include <cstdio>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <variant>

#include <fmt/format.h>

#include "base/json.h"
#include "base/utf8.h"
#include "cli/command.h"
#include "cli/json_lines.h"
#include "cli/model_actions.h"
#include "cli/model_files.h"
#include "cli/model_plan.h"
#include "cli/openai_dialogue.h"
#include "model/transformer.h"

namespace l2a {
namespace {

std::string to_text(const GgufValue& value) {
  return std::visit(
      [](const auto& v) -> std::string {
        using T = std::decay_t<decltype(v)>;
        if constexpr (std::is_same_v<T, std::string>) {
          return shown(v);
        } else if constexpr (std::is_arithmetic_v<T>) {
          return fmt::format("{}", v);
        } else {
          return fmt::format("[{} values]", v.size());
        }
      },
      value);
}

void show_info(const std::string& path) {
  const Checkpoint files = open_model(path);
  uint64_t parameters = 0, bytes = 0;
  std::map<std::string, size_t> types;
  for (const std::string& name : files.names()) {
    const StoredTensor& tensor = files.stored(name);
    parameters += static_cast<uint64_t>(element_count(tensor));
    bytes += tensor.data.size();
    ++types[element_name(tensor.type)];
  }
  std::string by_type;
  for (const auto& [type, count] : types) by_type += fmt::format(" {} {}", count, type);

  std::printf("model          %s\n", files.path().c_str());
  std::printf("parameters     %.1f million in %.1f MB\n", static_cast<double>(parameters) / 1e6,
              static_cast<double>(bytes) / 1e6);
  std::printf("tensors        %zu:%s\n", files.names().size(), by_type.c_str());
  std::printf("configuration\n");
  for (const auto& [key, value] : files.config().items()) {
    std::printf("  %s = %s\n", shown(key).c_str(), shown(dump_json(value)).c_str());
  }
  if (!files.gguf()) return;
  std::printf("metadata\n");
  for (const auto& [key, value] : files.gguf()->metadata()) {
    std::printf("  %s = %s\n", shown(key).c_str(), to_text(value).c_str());
  }
}

void check_model(const std::string& path, const std::string& chat_template) {
  const Checkpoint files = open_model(path);
  // Loading reads every tensor, holds its shape against the settings and refuses what is not
  // finite.
  const Transformer model = Transformer::load(files, {});
  std::printf("tensors        %zu: all there, of the right shape, finite\n", files.names().size());
  const BpeTokenizer tokenizer = load_tokenizer(files);
  std::printf("tokenizer      %d tokens\n", tokenizer.size());
  const ChatTemplate chat = load_chat_template(files, tokenizer, chat_template);
  std::printf("chat template  %s\n", chat.name().c_str());
  if (const auto gap = chat.prefix_gap()) std::printf("               %s\n", gap->c_str());
}

void print_line(const Json& value) { std::printf("%s\n", dump_json(value).c_str()); }

void tokenize(const std::string& path) {
  const BpeTokenizer tokenizer = load_tokenizer(open_model(path));
  for_each_json_line("-", [&](const Json& line) -> std::optional<Error> {
    if (!line.is_string()) return Error{ErrorCode::kInvalidInput, "expected a JSON string"};
    const auto ids = tokenizer.encode(line.get_ref<const std::string&>());
    if (!ids) return ids.error();
    print_line(*ids);
    return std::nullopt;
  });
}

void apply_template(const std::string& path, const std::string& chat_template) {
  const Checkpoint files = open_model(path);
  const BpeTokenizer tokenizer = load_tokenizer(files);
  const ChatTemplate chat = load_chat_template(files, tokenizer, chat_template);
  for_each_json_line("-", [&](const Json& line) -> std::optional<Error> {
    const auto dialogue = dialogue_from_json(line);
    if (!dialogue) return dialogue.error();
    if (const auto why = chat.refusal(dialogue->system, dialogue->turns)) {
      return Error{ErrorCode::kInvalidInput, *why};
    }
    print_line({{"text", chat.render(dialogue->system, dialogue->turns, true)},
                {"ids", chat.context_ids(dialogue->system, dialogue->turns)}});
    return std::nullopt;
  });
}

void add_action(CLI::App& command, const char* name, const char* description,
                void (*run)(const std::string& path)) {
  auto* action = command.add_subcommand(name, description);
  auto path = std::make_shared<std::string>();
  add_model_argument(*action, *path);
  action->callback([path, run] { run(*path); });
}

void add_chat_action(CLI::App& command, const char* name, const char* description,
                     void (*run)(const std::string& path, const std::string& chat_template)) {
  auto* action = command.add_subcommand(name, description);
  auto path = std::make_shared<std::string>(), chat_template = std::make_shared<std::string>();
  add_model_argument(*action, *path);
  add_chat_template_option(*action, *chat_template);
  action->callback([path, chat_template, run] { run(*path, *chat_template); });
}

}  // namespace

void add_model_command(CLI::App& app) {
  auto* command = app.add_subcommand("model", "Look into a model file and its tokenizer");
  command->require_subcommand(1);
  add_action(*command, "info", "Sizes, tensors and metadata of the model", show_info);
  add_chat_action(*command, "check", "Whether everything that the model needs is there and sound",
                  check_model);
  add_action(*command, "tokenize",
             "Token ids of text: a JSON string a line in, an array of ids a line out", tokenize);
  add_chat_action(
      *command, "template",
      "A dialogue as the model reads it: an array of {\"role\", \"content\"} a line in, "
      "{\"text\", \"ids\"} a line out",
      apply_template);
  add_model_run_actions(*command);
  add_model_plan_action(*command);
}

}  // namespace l2a
