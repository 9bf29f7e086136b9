#include "cli/run_directory.h"

#include <filesystem>
#include <sstream>

#include "base/error.h"
#include "base/file.h"
#include "base/utf8.h"

namespace l2a {
namespace {

namespace fs = std::filesystem;

[[noreturn]] void refuse(const std::string& path, const std::string& why) {
  fail_input("run directory: " + path + ": was started with " + why +
             ": give another directory, or the settings of that run");
}

// The first line in which the two texts differ, for the message.
std::string first_difference(const std::string& before, const std::string& now) {
  std::istringstream a(before), b(now);
  std::string line_a, line_b;
  while (true) {
    const bool more_a = static_cast<bool>(std::getline(a, line_a));
    const bool more_b = static_cast<bool>(std::getline(b, line_b));
    if (!more_a && !more_b) return "";
    if (!more_a) line_a.clear();
    if (!more_b) line_b.clear();
    if (line_a != line_b) {
      return shown(trim(line_a)) + " there, " + shown(trim(line_b)) + " now";
    }
  }
}

void keep_or_compare(const std::string& directory, const fs::path& file, const std::string& text,
                     const std::string& what) {
  if (!fs::exists(file)) {
    write_file_atomic(file, text);
    return;
  }
  const std::string before = read_file(file);
  if (before != text) {
    refuse(directory, "another " + what + " (" + first_difference(before, text) + ")");
  }
}

}  // namespace

RunDirectory open_run_directory(const std::string& path, const std::vector<ConfigField>& fields,
                                const std::map<std::string, std::string>& prompts) {
  make_private_directory(path);
  auto lock = std::make_unique<DirectoryLock>(path);
  make_private_directory(fs::path(path) / "prompts");
  for (const auto& [name, text] : prompts) {
    keep_or_compare(path, fs::path(path) / "prompts" / name, text, "prompt " + name);
  }
  const std::string config = config_to_yaml(fields);
  keep_or_compare(path, fs::path(path) / "config.yaml", config, "configuration");
  return {path, sha256_hex(config), std::move(lock)};
}

}  // namespace l2a
