#include "cli/run_directory.h"

#include <filesystem>
#include <sstream>
#include <utility>

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

}  // namespace

RunDirectory::RunDirectory(std::string path, const std::vector<ConfigField>& fields,
                           const std::map<std::string, std::string>& prompts)
    : path_(std::move(path)) {
  make_private_directory(path_);
  lock_ = std::make_unique<DirectoryLock>(path_);
  for (const auto& [name, text] : prompts) texts_.emplace_back("prompts/" + name, text);
  const std::string config = config_to_yaml(fields);
  config_sha256_ = sha256_hex(config);
  texts_.emplace_back("config.yaml", config);
  for (const auto& [file, text] : texts_) {
    if (!fs::exists(fs::path(path_) / file)) continue;
    const std::string before = read_file(fs::path(path_) / file);
    if (before == text) continue;
    const std::string what =
        file == "config.yaml" ? "configuration" : "prompt " + fs::path(file).filename().string();
    refuse(path_, "another " + what + " (" + first_difference(before, text) + ")");
  }
}

void RunDirectory::keep() const {
  make_private_directory(fs::path(path_) / "prompts");
  for (const auto& [file, text] : texts_) {
    if (!fs::exists(fs::path(path_) / file)) write_file_atomic(fs::path(path_) / file, text);
  }
}

}  // namespace l2a
