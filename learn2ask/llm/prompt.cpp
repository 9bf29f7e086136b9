#include "llm/prompt.h"

#include <algorithm>
#include <functional>
#include <sstream>

#include "base/file.h"
#include "base/utf8.h"

namespace l2a {
namespace {

constexpr size_t kMaxBytes = 1 << 20;

bool is_name(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(),
                                      [](char c) { return (c >= 'a' && c <= 'z') || c == '_'; });
}

// `text` with each "{name}" replaced by what `value_of` gives for it.
std::string fill(const std::string& text,
                 const std::function<std::string(const std::string&)>& value_of) {
  std::string out;
  for (size_t at = 0; at < text.size();) {
    const size_t close = text[at] == '{' ? text.find('}', at) : text.npos;
    const std::string name = close == text.npos ? "" : text.substr(at + 1, close - at - 1);
    if (is_name(name)) {
      out += value_of(name);
      at = close + 1;
    } else {
      out += text[at++];
    }
  }
  return out;
}

std::vector<std::string> places_of(const std::string& text) {
  std::vector<std::string> places;
  fill(text, [&](const std::string& name) {
    places.push_back(name);
    return std::string();
  });
  return places;
}

bool contains(const std::vector<std::string>& list, const std::string& value) {
  return std::find(list.begin(), list.end(), value) != list.end();
}

std::map<std::string, std::string> parts_of(const std::string& file, const std::string& name) {
  std::map<std::string, std::string> parts;
  std::string* part = nullptr;
  std::istringstream lines(file);
  size_t number = 0;
  for (std::string line; std::getline(lines, line);) {
    ++number;
    const bool opens = line.size() > 2 && line.front() == '[' && line.back() == ']' &&
                       is_name(std::string_view(line).substr(1, line.size() - 2));
    if (opens) {
      const auto [at, added] = parts.emplace(line.substr(1, line.size() - 2), "");
      if (!added) fail_input(name + ":" + std::to_string(number) + ": " + line + " stands twice");
      part = &at->second;
    } else if (part != nullptr) {
      *part += line + "\n";
    } else if (!line.empty() && line.front() != '#') {
      fail_input(name + ":" + std::to_string(number) + ": expected a part such as [system]");
    }
  }
  return parts;
}

}  // namespace

Prompt Prompt::load(const std::filesystem::path& path, const std::vector<std::string>& places) {
  return parse(read_file(path, kMaxBytes), "prompt: " + path.string(), places);
}

Prompt Prompt::parse(const std::string& text, const std::string& name,
                     const std::vector<std::string>& places) {
  if (find_bad_utf8(text)) fail_input(name + ": not UTF-8");
  Prompt prompt;
  prompt.sha256_ = sha256_hex(text);
  auto parts = parts_of(text, name);
  const auto take = [&](const char* key) {
    const auto part = parts.extract(key);
    std::string said = part ? trim(part.mapped()) : "";
    if (said.empty()) fail_input(name + ": [" + key + "]: missing or empty");
    return said;
  };
  prompt.system_ = take("system");
  prompt.user_ = take("user");
  prompt.correction_ = take("correction");
  if (!parts.empty()) {
    fail_input(name + ": [" + parts.begin()->first + "]: expected system, user and correction");
  }
  const auto found = places_of(prompt.system_ + prompt.user_);
  for (const std::string& place : places) {
    if (!contains(found, place)) fail_input(name + ": {" + place + "}: missing");
  }
  for (const std::string& place : found) {
    if (!contains(places, place))
      fail_input(name + ": {" + place + "}: nothing is filled in there");
  }
  if (!contains(places_of(prompt.correction_), "error")) {
    fail_input(name + ": [correction]: {error}: missing");
  }
  return prompt;
}

std::vector<ChatMessage> Prompt::messages(const Values& values) const {
  const auto value_of = [&](const std::string& place) { return values.at(place); };
  return {{"system", fill(system_, value_of)}, {"user", fill(user_, value_of)}};
}

}  // namespace l2a
