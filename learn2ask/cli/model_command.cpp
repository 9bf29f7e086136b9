// `learn2ask model`: what is in a model file, and what its tokenizer makes of text.
#include <cstdio>
#include <functional>
#include <iostream>
#include <map>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include <fmt/format.h>

#include "base/json.h"
#include "base/jsonl.h"
#include "base/utf8.h"
#include "cli/command.h"
#include "cli/model_files.h"

namespace l2a {
namespace {

GgufFile open_model(const std::string& path) {
  return GgufFile::open(path.empty() ? embedded_policy_model() : path);
}

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
  const GgufFile file = open_model(path);
  uint64_t parameters = 0, bytes = 0;
  std::map<std::string, size_t> types;
  for (const auto& tensor : file.tensors()) {
    uint64_t elements = 1;
    for (const int64_t length : tensor.shape) elements *= static_cast<uint64_t>(length);
    parameters += elements;
    bytes += tensor.data.size();
    ++types[ggml_type_name(tensor.type)];
  }
  std::string by_type;
  for (const auto& [type, count] : types) by_type += fmt::format(" {} {}", count, type);

  std::printf("file           %s\n", (path.empty() ? embedded_policy_model() : path).c_str());
  std::printf("parameters     %.1f million in %.1f MB\n", static_cast<double>(parameters) / 1e6,
              static_cast<double>(bytes) / 1e6);
  std::printf("tensors        %zu:%s\n", file.tensors().size(), by_type.c_str());
  std::printf("metadata\n");
  for (const auto& [key, value] : file.metadata()) {
    std::printf("  %s = %s\n", shown(key).c_str(), to_text(value).c_str());
  }
}

// The next line of standard input, read no further than just past the limit; false at the end.
bool read_line(std::string& line) {
  line.clear();
  for (char c; std::cin.get(c) && c != '\n';) {
    line += c;
    if (line.size() > kMaxLineBytes) return true;
  }
  return !line.empty() || std::cin.good();
}

// Calls `row` for each JSON line of standard input and prints what it gives, a line each. Throws
// Failure naming the line.
void for_each_input_line(const std::function<Result<Json>(const Json&)>& row) {
  std::string line;
  for (size_t number = 1; read_line(line); ++number) {
    const auto fail_here = [&](const std::string& why) {
      fail_input("standard input:" + std::to_string(number) + ": " + why);
    };
    if (line.size() > kMaxLineBytes) fail_here("longer than 16 MB");
    const auto value = parse_json(line);
    if (!value) fail_here(value.error().message);
    const auto result = row(*value);
    if (!result) fail_here(result.error().message);
    std::printf("%s\n", dump_json(*result).c_str());
  }
}

void tokenize(const std::string& path) {
  const BpeTokenizer tokenizer = load_tokenizer(open_model(path));
  for_each_input_line([&](const Json& line) -> Result<Json> {
    if (!line.is_string()) return Error{ErrorCode::kInvalidInput, "expected a JSON string"};
    const auto ids = tokenizer.encode(line.get_ref<const std::string&>());
    if (!ids) return ids.error();
    return Json(*ids);
  });
}

// A dialogue of OpenAI messages; the system message, if any, comes first.
struct Dialogue {
  std::string system;
  std::vector<Turn> turns;
};

Result<Dialogue> dialogue_from_json(const Json& messages) {
  if (!messages.is_array()) return Error{ErrorCode::kInvalidInput, "expected an array of messages"};
  Dialogue dialogue;
  for (size_t i = 0; i < messages.size(); ++i) {
    const auto refuse = [&](const std::string& why) {
      return Error{ErrorCode::kInvalidInput, "message " + std::to_string(i + 1) + ": " + why};
    };
    if (!messages[i].is_object()) return refuse("expected an object");
    const auto role = get_string(messages[i], "role");
    if (!role) return refuse(role.error().message);
    auto content = get_string(messages[i], "content");
    if (!content) return refuse(content.error().message);
    if (*role == "system" && i == 0) {
      dialogue.system = std::move(*content);
    } else if (*role == "user" || *role == "assistant") {
      const Role who = *role == "user" ? Role::kUser : Role::kAssistant;
      dialogue.turns.push_back({who, std::move(*content), i, 1});
    } else {
      return refuse("'role': '" + shown(*role) +
                    "' where user, assistant and first of all system "
                    "are known");
    }
  }
  return dialogue;
}

void apply_template(const std::string& path) {
  const GgufFile file = open_model(path);
  const BpeTokenizer tokenizer = load_tokenizer(file);
  const ChatTemplate chat = load_chat_template(file, tokenizer);
  for_each_input_line([&](const Json& line) -> Result<Json> {
    const auto dialogue = dialogue_from_json(line);
    if (!dialogue) return dialogue.error();
    return Json{{"text", chat.render(dialogue->system, dialogue->turns, true)},
                {"ids", chat.context_ids(dialogue->system, dialogue->turns)}};
  });
}

void add_action(CLI::App& command, const char* name, const char* description,
                void (*run)(const std::string&)) {
  auto* action = command.add_subcommand(name, description);
  auto path = std::make_shared<std::string>();
  action->add_option("MODEL", *path, "GGUF file (default: the embedded SmolLM2-135M-Instruct)");
  action->callback([path, run] { run(*path); });
}

}  // namespace

void add_model_command(CLI::App& app) {
  auto* command = app.add_subcommand("model", "Look into a model file and its tokenizer");
  command->require_subcommand(1);
  add_action(*command, "info", "Sizes, tensors and metadata of the model", show_info);
  add_action(*command, "tokenize",
             "Token ids of text: a JSON string a line in, an array of ids a line out", tokenize);
  add_action(*command, "template",
             "A dialogue as the model reads it: an array of {\"role\", \"content\"} a line in, "
             "{\"text\", \"ids\"} a line out",
             apply_template);
}

}  // namespace l2a
