// Sentence templates of a domain file: "My {head|forehead} hurts since {value}."
#pragma once

#include <string>
#include <string_view>

#include "base/error.h"
#include "base/rng.h"

namespace l2a {

// kInvalidInput when a brace has no partner, an alternative is empty, or a name other than
// `placeholder` stands in braces ("" allows none). The message says why, without a place.
Result<bool> check_template(std::string_view text, std::string_view placeholder);
// The template has {placeholder}.
bool has_placeholder(std::string_view text, std::string_view placeholder);

// Draws one of each {a|b} and puts `value` where a single name stands. `text` has passed
// check_template().
std::string fill_template(std::string_view text, std::string_view value, Rng& rng);

}  // namespace l2a
