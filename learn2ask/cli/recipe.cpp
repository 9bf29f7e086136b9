#include "cli/recipe.h"

#include <algorithm>
#include <sstream>

#include <yaml-cpp/yaml.h>

#include "base/error.h"
#include "base/file.h"
#include "base/jsonl.h"

namespace l2a {
namespace {

class RecipeReader {
 public:
  RecipeReader(const std::string& path, const RecipeVariables& variables)
      : path_(path), variables_(variables) {}

  std::vector<CommandLine> read() {
    const YAML::Node root = parse(read_file(path_));
    if (!root.IsMap() || !root["steps"] || !root["steps"].IsSequence() || root.size() != 1) {
      refuse(root, "expected the single key 'steps' with a list of commands");
    }
    std::vector<CommandLine> commands;
    for (const auto& step : root["steps"]) commands.push_back(read_step(step));
    return commands;
  }

 private:
  YAML::Node parse(const std::string& text) const {
    try {
      return YAML::Load(text);
    } catch (const YAML::Exception& e) {
      fail_input("recipe: " + path_ + ":" + std::to_string(e.mark.line + 1) + ": " + e.msg);
    }
  }

  [[noreturn]] void refuse(const YAML::Node& where, const std::string& why) const {
    const int line = std::max(where.Mark().line, 0);  // an empty file has no mark
    fail_input("recipe: " + path_ + ":" + std::to_string(line + 1) + ": " + why);
  }

  CommandLine read_step(const YAML::Node& step) const {
    if (step.IsScalar()) return words_of(step);
    if (!step.IsMap() || !step["run"] || !step["run"].IsScalar()) {
      refuse(step, "a step is a command, or a map with 'run' and 'set'");
    }
    CommandLine command = words_of(step["run"]);
    for (const auto& entry : step) {
      const auto key = entry.first.as<std::string>();
      if (key != "run" && key != "set") refuse(entry.first, "unknown key '" + key + "'");
      if (key == "set") append_settings(entry.second, command);
    }
    return command;
  }

  void append_settings(const YAML::Node& settings, CommandLine& command) const {
    if (!settings.IsMap()) refuse(settings, "'set' expects settings, one 'key: value' a line");
    for (const auto& setting : settings) {
      if (!setting.second.IsScalar()) refuse(setting.second, "a setting is one value");
      command.push_back("--set");
      command.push_back(setting.first.as<std::string>() + "=" +
                        substitute(setting.second, setting.second.as<std::string>()));
    }
  }

  CommandLine words_of(const YAML::Node& node) const {
    CommandLine command;
    std::istringstream text(node.as<std::string>());
    for (std::string word; text >> word;) command.push_back(substitute(node, word));
    if (command.empty()) refuse(node, "an empty command");
    return command;
  }

  std::string substitute(const YAML::Node& node, std::string text) const {
    size_t begin = 0;
    while ((begin = text.find("${", begin)) != text.npos) {
      const size_t end = text.find('}', begin);
      const std::string name = end == text.npos ? "" : text.substr(begin + 2, end - begin - 2);
      const auto variable = variables_.find(name);
      if (variable == variables_.end()) refuse(node, "unknown variable in '" + text + "'");
      const std::optional<std::string>& value = variable->second;
      if (!value) refuse(node, "${" + name + "} has no value: give --" + name);
      text.replace(begin, end + 1 - begin, *value);
      begin += value->size();
    }
    return text;
  }

  const std::string& path_;
  const RecipeVariables& variables_;
};

}  // namespace

std::vector<CommandLine> read_recipe(const std::string& path, const RecipeVariables& variables) {
  return RecipeReader(path, variables).read();
}

std::string joined(const CommandLine& command) {
  std::string line;
  for (const auto& word : command) line += (line.empty() ? "" : " ") + word;
  return line;
}

std::vector<std::string> read_history(const std::string& journal) {
  std::vector<std::string> commands;
  JsonlReader reader(journal);
  while (auto line = reader.next()) {
    const JsonLine row = std::move(*line).value_or_throw();
    commands.push_back(get_string(row.value, "command").value_or_throw());
  }
  return commands;
}

}  // namespace l2a
