#include "eval/html.h"

#include <cstdint>

#include "base/file.h"
#include "base/utf8.h"

namespace l2a {
namespace {

bool is_unsafe(char32_t c) {
  if (c == U'\n' || c == U'\t') return false;
  const bool control = c < 0x20 || (c >= 0x7F && c < 0xA0);
  const bool direction = (c >= 0x202A && c <= 0x202E) || (c >= 0x2066 && c <= 0x2069);
  return control || direction;
}

uint8_t hex_digit(char c) { return static_cast<uint8_t>(c <= '9' ? c - '0' : c - 'a' + 10); }

std::string base64_of_hex(const std::string& hex) {
  constexpr std::string_view kDigits =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  uint32_t bits = 0;
  int held = 0;
  for (const char c : hex) {
    bits = (bits << 4 | hex_digit(c)) & 0xFFFF;
    held += 4;
    if (held >= 6) out += kDigits[bits >> (held -= 6) & 63];
  }
  if (held > 0) out += kDigits[bits << (6 - held) & 63];
  while (out.size() % 4 != 0) out += '=';
  return out;
}

}  // namespace

std::string html_escape(std::string_view text) {
  const std::u32string code_points = decode_utf8(text).value_or_throw();
  std::string out;
  out.reserve(text.size());
  for (const char32_t c : code_points) {
    switch (c) {
      case U'&':
        out += "&amp;";
        break;
      case U'<':
        out += "&lt;";
        break;
      case U'>':
        out += "&gt;";
        break;
      case U'"':
        out += "&quot;";
        break;
      case U'\'':
        out += "&#39;";
        break;
      default:
        append_utf8(out, is_unsafe(c) ? U'\uFFFD' : c);
    }
  }
  return out;
}

std::string script_json(const Json& value) {
  const std::string json = dump_json(value);
  std::string out;
  out.reserve(json.size());
  for (size_t i = 0; i < json.size(); ++i) {
    // These stand only inside strings of JSON, where a \u escape means the same.
    switch (json[i]) {
      case '<':
        out += "\\u003c";
        break;
      case '>':
        out += "\\u003e";
        break;
      case '&':
        out += "\\u0026";
        break;
      case '\xE2':
        if (json.compare(i, 3, "\u2028") == 0 || json.compare(i, 3, "\u2029") == 0) {
          out += json[i + 2] == '\xA8' ? "\\u2028" : "\\u2029";
          i += 2;
          break;
        }
        [[fallthrough]];
      default:
        out += json[i];
    }
  }
  return out;
}

std::string csp_hash(std::string_view script) {
  return "sha256-" + base64_of_hex(sha256_hex(script));
}

}  // namespace l2a
