#include "eval/text_layout.h"

#include <algorithm>
#include <string_view>

namespace l2a {
namespace {

constexpr size_t kColumns = 110;

}  // namespace

std::string wrapped(const std::string& text) {
  std::string out;
  size_t column = 0, begin = 0;
  while (begin < text.size()) {
    const size_t end = std::min(text.find(' ', begin), text.size());
    const std::string word = text.substr(begin, end - begin);
    if (column > 0 && column + 1 + word.size() > kColumns) out += '\n', column = 0;
    if (column > 0) out += ' ', ++column;
    out += word;
    column += word.size();
    begin = end + 1;
  }
  return out + "\n";
}

std::string markdown_escape(const std::string& text) {
  std::string out;
  for (const char c : text) {
    if (std::string_view("|\\`*_<>[]").find(c) != std::string_view::npos) out += '\\';
    out += c;
  }
  return out;
}

}  // namespace l2a
