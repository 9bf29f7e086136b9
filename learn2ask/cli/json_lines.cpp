#include "cli/json_lines.h"

#include <fstream>
#include <iostream>

#include "base/jsonl.h"

namespace l2a {
namespace {

// The next line, read no further than just past the limit; false at the end.
bool read_line(std::istream& in, std::string& line) {
  line.clear();
  for (char c; in.get(c) && c != '\n';) {
    line += c;
    if (line.size() > kMaxLineBytes) return true;
  }
  return !line.empty() || in.good();
}

}  // namespace

void for_each_json_line(const std::string& path,
                        const std::function<std::optional<Error>(const Json&)>& row) {
  std::ifstream file;
  if (path != "-") {
    file.open(path, std::ios::binary);
    if (!file) fail(ErrorCode::kNotFound, path + ": no such file");
  }
  std::istream& in = path == "-" ? std::cin : file;
  const std::string name = path == "-" ? "standard input" : path;
  std::string line;
  for (size_t number = 1; read_line(in, line); ++number) {
    const auto fail_here = [&](const std::string& why) {
      fail_input(name + ":" + std::to_string(number) + ": " + why);
    };
    if (line.size() > kMaxLineBytes) fail_here("longer than 16 MB");
    const auto value = parse_json(line);
    if (!value) fail_here(value.error().message);
    if (const auto error = row(*value)) fail_here(error->message);
  }
}

}  // namespace l2a
