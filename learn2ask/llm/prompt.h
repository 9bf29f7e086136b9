// Prompts are files: what a model is told before the data, and how it is told that it erred.
//
//   # comment
//   [system]
//   You read ...
//   [user]
//   {conversation}
//   [correction]
//   That was not it: {error} ...
//
// A line of a name in square brackets begins a part; "{name}" in a part is filled in by the
// program.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "base/error.h"
#include "llm/chat.h"

namespace l2a {

class Prompt {
 public:
  using Values = std::map<std::string, std::string>;

  // `places`: the names that [system] and [user] have to hold between them. Throws Failure naming
  // the file: a part that is missing, empty, unknown or there twice; a place that is missing or
  // that nobody fills.
  static Prompt load(const std::filesystem::path& path, const std::vector<std::string>& places);
  // The same of a file's text; `name` stands in messages.
  static Prompt parse(const std::string& text, const std::string& name,
                      const std::vector<std::string>& places);

  // [system] and [user] with every place filled, in one pass: what stands in a value is data, and
  // never a place.
  std::vector<ChatMessage> messages(const Values& values) const;
  const std::string& correction() const { return correction_; }
  const std::string& sha256() const { return sha256_; }  // of the file

 private:
  std::string system_, user_, correction_, sha256_;
};

}  // namespace l2a
