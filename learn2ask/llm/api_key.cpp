#include "llm/api_key.h"

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <system_error>

#include <sys/stat.h>

#include "base/file.h"

namespace l2a {
namespace {

constexpr size_t kMaxKeyBytes = 16 << 10;

// What was given may be the key itself, by mistake: only a path that is there is shown.
ApiKey key_of_file(const std::string& path) {
  struct stat info{};
  if (::stat(path.c_str(), &info) != 0) {
    fail(ErrorCode::kNotFound,
         "llm.key_file: the file that it names: " + std::generic_category().message(errno));
  }
  if ((info.st_mode & (S_IRWXG | S_IRWXO)) != 0) {
    fail_input("llm.key_file: " + path + ": others than its owner may read it: chmod 600 " + path);
  }
  std::string key = read_file(path, kMaxKeyBytes);
  while (!key.empty() && (key.back() == '\n' || key.back() == '\r')) key.pop_back();
  return {std::move(key), "llm.key_file: " + path};
}

}  // namespace

ApiKey::ApiKey(std::string key, const std::string& source) : key_(std::move(key)) {
  if (key_.empty()) fail_input(source + ": no key there");
  const bool visible =
      std::all_of(key_.begin(), key_.end(), [](char c) { return c > ' ' && c < '\x7f'; });
  if (!visible) fail_input(source + ": a key is one word of visible ASCII characters");
}

std::string ApiKey::scrub(std::string text) const {
  constexpr std::string_view kInstead = "[key]";
  constexpr size_t kShortest = 8;
  if (key_.size() < kShortest) return text;
  for (size_t at = text.find(key_); at != text.npos; at = text.find(key_, at + kInstead.size())) {
    text.replace(at, key_.size(), kInstead);
  }
  return text;
}

std::optional<ApiKey> find_key(const LlmOptions& options) {
  if (!options.key_file.empty()) return key_of_file(options.key_file);
  if (options.key_env.empty()) return std::nullopt;
  if (const char* key = std::getenv(options.key_env.c_str())) {
    return ApiKey(key, "environment: " + options.key_env);
  }
  if (options.key_env != LlmOptions{}.key_env) {
    fail(ErrorCode::kNotFound,
         "llm.key_env: the variable that it names is not set in the environment");
  }
  return std::nullopt;
}

}  // namespace l2a
