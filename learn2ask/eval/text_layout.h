// Text for people: lines of a terminal, cells of a Markdown table. Pure functions.
#pragma once

#include <string>

namespace l2a {

// Breaks at spaces so that no line is longer than a terminal's (110 columns), unless one word is.
// Ends with a newline.
std::string wrapped(const std::string& text);

// With a backslash before whatever Markdown would take for markup.
std::string markdown_escape(const std::string& text);

}  // namespace l2a
