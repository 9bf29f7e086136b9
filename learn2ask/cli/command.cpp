#include "cli/command.h"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/utf8.h"

namespace l2a {

namespace fs = std::filesystem;

void Settings::attach(CLI::App& command, const std::string& keys_help) {
  command.add_option("--config", files_, "YAML file of settings; later files win")
      ->allow_extra_args(false)
      ->type_name("FILE");
  command.add_option("--set", assignments_, "one setting, over the files; keys are below")
      ->allow_extra_args(false)
      ->type_name("KEY=VALUE");
  command.footer("Settings (key, default, meaning):\n" + keys_help);
}

ConfigSource Settings::load() const {
  ConfigSource source;
  for (const auto& file : files_) source.add_file(file);
  for (const auto& assignment : assignments_) source.add_setting(assignment);
  return source;
}

void refuse_options(const CLI::App& command, const std::string& where,
                    const std::vector<const char*>& options, const std::string& why) {
  for (const char* option : options) {
    if (command.count(option) > 0) fail_input(where + ": " + option + ": " + why);
  }
}

void refuse_overwriting(const std::string& command, const std::string& out) {
  if (fs::exists(out)) {
    fail_input(command + ": " + out +
               ": is there already; nothing is overwritten (give another --out)");
  }
}

void add_dry_run(CLI::App& command, bool& dry_run) {
  command.add_flag("--dry-run", dry_run,
                   "only count the calls of a language model, and what they would cost");
}

std::string data_path(const std::string& relative) {
  std::vector<fs::path> roots;
  if (const char* home = std::getenv("LEARN2ASK_HOME")) roots.emplace_back(home);
  std::error_code ec;
  const fs::path program = fs::read_symlink("/proc/self/exe", ec);
  // PREFIX/bin/learn2ask -> PREFIX/share/learn2ask; build/<preset>/bin/learn2ask -> the sources.
  if (!ec) {
    roots.push_back(program.parent_path().parent_path() / "share/learn2ask");
    roots.push_back(program.parent_path().parent_path().parent_path().parent_path());
  }
  for (const auto& root : roots) {
    if (fs::exists(root / relative, ec)) return (root / relative).string();
  }
  fail(ErrorCode::kNotFound, "installation: " + relative +
                                 ": not found beside the program (set LEARN2ASK_HOME to the "
                                 "folder that holds prompts/, recipes/ and domains/)");
}

std::string shipped_or_path(const std::string& folder, const std::string& name) {
  const bool is_path =
      name.find('/') != std::string::npos || name.ends_with(".yaml") || name.ends_with(".yml");
  if (is_path) return name;
  std::vector<std::string> shipped;
  for (const auto& file : fs::directory_iterator(data_path(folder))) {
    shipped.push_back(file.path().stem().string());
    if (shipped.back() == name) return file.path().string();
  }
  std::sort(shipped.begin(), shipped.end());
  std::string names;
  for (const auto& known : shipped) names += (names.empty() ? "" : ", ") + known;
  fail_input("'" + shown(name) + "': neither shipped in " + folder + "/ (" + names +
             ") nor the path of a .yaml file");
}

}  // namespace l2a
