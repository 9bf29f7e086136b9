// JSON values and their checked parsing. The library is nlohmann-json; key order is kept, so
// that a line read and written again is the same line.
#pragma once

#include <string>
#include <string_view>

#include <nlohmann/json.hpp>

#include "base/error.h"

namespace l2a {

using Json = nlohmann::ordered_json;

inline constexpr int kMaxJsonDepth = 64;

// Parses one JSON text. kInvalidInput when it is not JSON, is not valid UTF-8, contains a NUL
// (escaped or not), nests deeper than kMaxJsonDepth or repeats a key in an object; the message
// says why and at which byte.
Result<Json> parse_json(std::string_view text);
// The same, but a string (no key) may hold an escaped NUL: of texts that a model wrote.
Result<Json> parse_json_with_nul(std::string_view text);

// One line, keys in their order, non-ASCII text as UTF-8.
std::string dump_json(const Json& value);

// "a number", "an object", "null": what messages call a value.
std::string type_phrase(const Json& value);

// The member `key` of `object`, which must be of the asked type; kInvalidInput otherwise:
// "'messages': missing", "'content': expected a string, got a number". A `*_or` returns the
// default when the key is absent (never when it has the wrong type).
Result<std::string> get_string(const Json& object, const std::string& key);
Result<std::string> get_string_or(const Json& object, const std::string& key, std::string absent);
Result<double> get_number(const Json& object, const std::string& key);
Result<size_t> get_index(const Json& object, const std::string& key, size_t end);  // [0, end)
Result<const Json*> get_list(const Json& object, const std::string& key);          // into `object`
Result<const Json*> get_object(const Json& object, const std::string& key);        // into `object`
Result<bool> get_bool_or(const Json& object, const std::string& key, bool absent);

}  // namespace l2a
