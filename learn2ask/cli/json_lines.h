// JSON values a line each, from a file or from standard input, for commands that work as filters.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "base/json.h"

namespace l2a {

// Calls `row` for each line of `path`, "-" being standard input; an Error that it returns names
// what is wrong with the line. Throws Failure "WHERE:LINE: why": that, a line that is no JSON or
// longer than 16 MB; kNotFound.
void for_each_json_line(const std::string& path,
                        const std::function<std::optional<Error>(const Json&)>& row);

}  // namespace l2a
