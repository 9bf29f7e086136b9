// A merge as files write it in one text: "left right".
#pragma once

#include <optional>
#include <string>
#include <utility>

namespace l2a {

// nullopt for what is not two tokens and one space between them.
inline std::optional<std::pair<std::string, std::string>> split_merge(const std::string& line) {
  const size_t space = line.find(' ');
  if (space == line.npos || line.find(' ', space + 1) != line.npos) return std::nullopt;
  return std::pair(line.substr(0, space), line.substr(space + 1));
}

}  // namespace l2a
