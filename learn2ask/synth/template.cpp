#include "synth/template.h"

#include <vector>

namespace l2a {
namespace {

std::vector<std::string_view> split_alternatives(std::string_view inside) {
  std::vector<std::string_view> parts;
  for (size_t begin = 0;;) {
    const size_t bar = inside.find('|', begin);
    parts.push_back(inside.substr(begin, bar - begin));
    if (bar == inside.npos) return parts;
    begin = bar + 1;
  }
}

Error bad(std::string why) { return {ErrorCode::kInvalidInput, std::move(why)}; }

}  // namespace

Result<bool> check_template(std::string_view text, std::string_view placeholder) {
  for (size_t at = 0; (at = text.find_first_of("{}", at)) != text.npos;) {
    if (text[at] == '}') return bad("'}' without '{'");
    const size_t end = text.find_first_of("{}", at + 1);
    if (end == text.npos || text[end] == '{') return bad("'{' without '}'");
    const std::string_view inside = text.substr(at + 1, end - at - 1);
    const auto parts = split_alternatives(inside);
    if (parts.size() == 1 && (inside.empty() || inside != placeholder)) {
      return bad("'{" + std::string(inside) + "}' has no meaning here");
    }
    for (const auto part : parts) {
      if (part.empty()) return bad("empty alternative in '{" + std::string(inside) + "}'");
    }
    at = end + 1;
  }
  return true;
}

bool has_placeholder(std::string_view text, std::string_view placeholder) {
  return text.find("{" + std::string(placeholder) + "}") != text.npos;
}

std::string fill_template(std::string_view text, std::string_view value, Rng& rng) {
  std::string out;
  for (size_t at = 0; at < text.size();) {
    const size_t open = text.find('{', at);
    out += text.substr(at, open - at);
    if (open == text.npos) break;
    const size_t close = text.find('}', open);
    const auto parts = split_alternatives(text.substr(open + 1, close - open - 1));
    out += parts.size() == 1 ? value : rng.pick(parts);
    at = close + 1;
  }
  return out;
}

}  // namespace l2a
