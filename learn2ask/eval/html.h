// Text from data inside an HTML page: escaped, so that it is shown and never obeyed.
#pragma once

#include <string>
#include <string_view>

#include "base/json.h"

namespace l2a {

// For element content and quoted attribute values: & < > " ' become entities; control
// characters other than newline and tab, and bidirectional overrides, become U+FFFD.
std::string html_escape(std::string_view text);

// JSON for inside a script element: <, >, & and the line separators U+2028 and U+2029 as \u
// escapes, so that no "</script>" or "<!--" can end or change it.
std::string script_json(const Json& value);

// "sha256-..." of an inline script, as a Content-Security-Policy names it.
std::string csp_hash(std::string_view script);

}  // namespace l2a
