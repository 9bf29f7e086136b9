#include "cli/json_lines.h"

#include <iostream>

#include "base/jsonl.h"

namespace l2a {

void for_each_json_line(const std::string& path,
                        const std::function<std::optional<Error>(const Json&)>& row) {
  JsonlReader lines = path == "-" ? JsonlReader(std::cin, "standard input") : JsonlReader(path);
  while (const auto read = lines.next_value()) {
    if (!*read) throw Failure(read->error());
    const JsonLine& line = **read;
    const auto error = row(line.value);
    if (!error) continue;
    fail(error->code, lines.name() + ":" + std::to_string(line.number) + ": " + error->message);
  }
}

}  // namespace l2a
