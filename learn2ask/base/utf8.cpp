#include "base/utf8.h"

#include <cstdlib>
#include <iterator>
#include <memory>

#include <utf8proc.h>

namespace l2a {
namespace {

// One code point of `text` at `at`, and its length; length 0 where the bytes are ill-formed.
struct Decoded {
  char32_t code_point = 0;
  size_t length = 0;
};

bool is_continuation(unsigned char byte) { return (byte & 0xC0) == 0x80; }

// Source: Unicode 15, table 3-7 (well-formed UTF-8 byte sequences).
Decoded decode_at(std::string_view text, size_t at) {
  const auto byte = [&](size_t i) -> unsigned char {
    return at + i < text.size() ? static_cast<unsigned char>(text[at + i]) : 0;
  };
  const unsigned char b0 = byte(0), b1 = byte(1), b2 = byte(2), b3 = byte(3);
  const auto bits = [](unsigned char b) { return static_cast<char32_t>(b & 0x3F); };
  if (b0 < 0x80) return {b0, 1};
  if (b0 < 0xC2 || b0 > 0xF4) return {};
  if (!is_continuation(b1)) return {};
  if (b0 < 0xE0) return {(char32_t{b0} & 0x1F) << 6 | bits(b1), 2};
  if (b0 < 0xF0) {
    if (b0 == 0xE0 && b1 < 0xA0) return {};  // overlong
    if (b0 == 0xED && b1 > 0x9F) return {};  // surrogate
    if (!is_continuation(b2)) return {};
    return {(char32_t{b0} & 0x0F) << 12 | bits(b1) << 6 | bits(b2), 3};
  }
  if (b0 == 0xF0 && b1 < 0x90) return {};  // overlong
  if (b0 == 0xF4 && b1 > 0x8F) return {};  // above U+10FFFF
  if (!is_continuation(b2) || !is_continuation(b3)) return {};
  return {(char32_t{b0} & 0x07) << 18 | bits(b1) << 12 | bits(b2) << 6 | bits(b3), 4};
}

utf8proc_category_t category(char32_t c) {
  return utf8proc_category(static_cast<utf8proc_int32_t>(c));
}

struct CodeRange {
  char32_t first, last;
};

bool in_ranges(char32_t c, const CodeRange* begin, const CodeRange* end) {
  for (const CodeRange* r = begin; r != end; ++r) {
    if (c >= r->first && c <= r->last) return true;
  }
  return false;
}

// Scripts written without spaces, whose characters count as words: Han (with the iteration
// marks and the extensions), Hiragana, Katakana, Thai.
bool is_word_by_itself(char32_t c) {
  static constexpr CodeRange kRanges[] = {
      {0x0E01, 0x0E3A}, {0x0E40, 0x0E4E}, {0x2E80, 0x2FD5}, {0x3005, 0x3007},  {0x3021, 0x3029},
      {0x3041, 0x3096}, {0x309D, 0x309F}, {0x30A1, 0x30FA}, {0x30FC, 0x30FF},  {0x31F0, 0x31FF},
      {0x3400, 0x4DBF}, {0x4E00, 0x9FFF}, {0xF900, 0xFAD9}, {0x20000, 0x3FFFD}};
  return in_ranges(c, std::begin(kRanges), std::end(kRanges));
}

// The letters of Unicode's Latin script, by block.
bool is_latin(char32_t c) {
  static constexpr CodeRange kRanges[] = {
      {'A', 'Z'},       {'a', 'z'},       {0xAA, 0xAA},     {0xBA, 0xBA},     {0xC0, 0xD6},
      {0xD8, 0xF6},     {0xF8, 0x2B8},    {0x1D00, 0x1D25}, {0x1D2C, 0x1D5C}, {0x1D62, 0x1D65},
      {0x1D6B, 0x1D77}, {0x1D79, 0x1DBE}, {0x1E00, 0x1EFF}, {0x2071, 0x2071}, {0x207F, 0x207F},
      {0x2090, 0x209C}, {0x212A, 0x212B}, {0x2132, 0x2132}, {0x214E, 0x214E}, {0x2C60, 0x2C7F},
      {0xA722, 0xA787}, {0xA78B, 0xA7FF}, {0xAB30, 0xAB64}, {0xFB00, 0xFB06}, {0xFF21, 0xFF3A},
      {0xFF41, 0xFF5A}};
  return in_ranges(c, std::begin(kRanges), std::end(kRanges));
}

bool is_apostrophe(char32_t c) { return c == '\'' || c == 0x2019; }
bool is_word_part(char32_t c) { return is_letter(c) || is_mark(c) || is_number(c); }

// Controls, and the marks that turn the direction of text: neither may reach a terminal.
bool is_control(char32_t c) {
  static constexpr CodeRange kRanges[] = {
      {0, 0x1F}, {0x7F, 0x9F}, {0x200E, 0x200F}, {0x2028, 0x202E}, {0x2066, 0x2069}};
  return in_ranges(c, std::begin(kRanges), std::end(kRanges));
}

}  // namespace

std::optional<size_t> find_bad_utf8(std::string_view text) {
  size_t at = 0;
  while (at < text.size()) {
    if (static_cast<unsigned char>(text[at]) < 0x80) {
      ++at;
      continue;
    }
    const size_t length = decode_at(text, at).length;
    if (length == 0) return at;
    at += length;
  }
  return std::nullopt;
}

Result<std::u32string> decode_utf8(std::string_view text) {
  std::u32string out;
  out.reserve(text.size());
  for (size_t at = 0; at < text.size();) {
    const Decoded decoded = decode_at(text, at);
    if (decoded.length == 0) {
      return Error{ErrorCode::kInvalidInput, "byte " + std::to_string(at + 1) + ": invalid UTF-8"};
    }
    out += decoded.code_point;
    at += decoded.length;
  }
  return out;
}

void append_utf8(std::string& out, char32_t code_point) {
  utf8proc_uint8_t bytes[4];
  const auto length = utf8proc_encode_char(static_cast<utf8proc_int32_t>(code_point), bytes);
  check(length > 0, "not a Unicode code point");
  out.append(reinterpret_cast<const char*>(bytes), static_cast<size_t>(length));
}

std::string encode_utf8(std::u32string_view text) {
  std::string out;
  out.reserve(text.size());
  for (const char32_t c : text) append_utf8(out, c);
  return out;
}

bool is_letter(char32_t c) {
  const auto k = category(c);
  return k >= UTF8PROC_CATEGORY_LU && k <= UTF8PROC_CATEGORY_LO;
}
bool is_mark(char32_t c) {
  const auto k = category(c);
  return k >= UTF8PROC_CATEGORY_MN && k <= UTF8PROC_CATEGORY_ME;
}
bool is_number(char32_t c) {
  const auto k = category(c);
  return k >= UTF8PROC_CATEGORY_ND && k <= UTF8PROC_CATEGORY_NO;
}
bool is_punctuation(char32_t c) {
  const auto k = category(c);
  return k >= UTF8PROC_CATEGORY_PC && k <= UTF8PROC_CATEGORY_PO;
}
bool is_space(char32_t c) {
  return (c >= 0x09 && c <= 0x0D) || c == 0x20 || c == 0x85 || c == 0xA0 || c == 0x1680 ||
         (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F ||
         c == 0x3000;
}

namespace {

std::string map_text(std::string_view text, int options) {
  utf8proc_uint8_t* mapped = nullptr;
  const auto length = utf8proc_map(reinterpret_cast<const utf8proc_uint8_t*>(text.data()),
                                   static_cast<utf8proc_ssize_t>(text.size()), &mapped,
                                   static_cast<utf8proc_option_t>(options));
  const std::unique_ptr<utf8proc_uint8_t, decltype(&std::free)> owner(mapped, &std::free);
  check(length >= 0, "utf8proc refused valid UTF-8");
  return {reinterpret_cast<const char*>(mapped), static_cast<size_t>(length)};
}

}  // namespace

std::string compose_text(std::string_view text) {
  if (text.empty()) return {};
  return map_text(text, UTF8PROC_STABLE | UTF8PROC_COMPOSE);
}

std::string normalise_text(std::string_view text) {
  check(!find_bad_utf8(text), "normalise_text on invalid UTF-8");
  if (text.empty()) return {};
  const std::string folded = map_text(text, UTF8PROC_STABLE | UTF8PROC_COMPOSE | UTF8PROC_COMPAT |
                                                UTF8PROC_CASEFOLD | UTF8PROC_IGNORE);

  std::string out;
  out.reserve(folded.size());
  bool gap = false;
  for (size_t at = 0; at < folded.size();) {
    const Decoded decoded = decode_at(folded, at);
    if (is_space(decoded.code_point)) {
      gap = true;
    } else {
      if (gap && !out.empty()) out += ' ';
      gap = false;
      out += folded.substr(at, decoded.length);
    }
    at += decoded.length;
  }
  return out;
}

std::string trim(std::string_view text) {
  while (!text.empty()) {
    const Decoded first = decode_at(text, 0);
    if (first.length == 0 || !is_space(first.code_point)) break;
    text.remove_prefix(first.length);
  }
  while (!text.empty()) {
    size_t at = text.size() - 1;
    while (at > 0 && is_continuation(static_cast<unsigned char>(text[at]))) --at;
    const Decoded last = decode_at(text, at);
    if (at + last.length != text.size() || !is_space(last.code_point)) break;
    text = text.substr(0, at);
  }
  return std::string(text);
}

std::vector<std::string> words(std::string_view text) {
  const std::u32string points = decode_utf8(normalise_text(text)).value_or_throw();
  std::vector<std::string> out;
  std::string word;
  const auto close = [&] {
    if (!word.empty()) out.push_back(std::exchange(word, {}));
  };
  bool alone = false;  // the open word is a character of an unspaced script: only marks join it
  for (size_t i = 0; i < points.size(); ++i) {
    const char32_t c = points[i];
    if (!word.empty() && is_mark(c)) {
      append_utf8(word, c);
    } else if (is_word_by_itself(c)) {
      close();
      append_utf8(word, c);
      alone = true;
    } else if (is_word_part(c)) {
      if (alone) close();
      alone = false;
      append_utf8(word, c);
    } else if (is_apostrophe(c) && !word.empty() && !alone && i + 1 < points.size() &&
               is_word_part(points[i + 1]) && !is_word_by_itself(points[i + 1])) {
      word += '\'';  // both apostrophes spell the same word
    } else {
      close();
    }
  }
  close();
  return out;
}

double latin_share(std::string_view text) {
  const std::u32string points = decode_utf8(text).value_or_throw();
  size_t letters = 0, latin = 0;
  for (const char32_t c : points) {
    letters += is_letter(c);
    latin += is_letter(c) && is_latin(c);
  }
  return letters == 0 ? 1 : static_cast<double>(latin) / static_cast<double>(letters);
}

std::string shown(std::string_view text, size_t max_bytes) {
  constexpr std::string_view kCut = "...";
  std::string out;
  size_t fits = 0;  // bytes of `out` that leave room for the dots
  for (size_t at = 0; at < text.size();) {
    const Decoded decoded = decode_at(text, at);
    if (decoded.length == 0) {
      out += '?';
      ++at;
    } else {
      const bool control = is_control(decoded.code_point);
      const bool space = is_space(decoded.code_point);
      if (control || space) {
        out += space ? ' ' : '?';
      } else {
        out += text.substr(at, decoded.length);
      }
      at += decoded.length;
    }
    if (out.size() > max_bytes) {
      out.resize(fits);
      if (fits + kCut.size() <= max_bytes) out += kCut;
      return out;
    }
    if (out.size() + kCut.size() <= max_bytes) fits = out.size();
  }
  return out;
}

}  // namespace l2a
