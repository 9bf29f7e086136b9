#include "tokenizer/compose.h"

#include <algorithm>

#include "base/utf8.h"
#include "tokenizer/code_ranges.h"

namespace l2a {
namespace {

// Characters of Unicode 10 to 15 that reorder or compose in newer tables (UnicodeData.txt,
// combining classes and decompositions).
constexpr CodeRange kLater[] = {
    {0x7FD, 0x7FD},     {0x898, 0x89F},     {0x8CA, 0x8D3},     {0x9FE, 0x9FE},
    {0xC3C, 0xC3C},     {0xD3B, 0xD3C},     {0xEBA, 0xEBA},     {0xECE, 0xECE},
    {0x1715, 0x1715},   {0x1ABF, 0x1ACE},   {0x1DF6, 0x1DFA},   {0xA82C, 0xA82C},
    {0x10D24, 0x10D27}, {0x10EAB, 0x10EAC}, {0x10EFD, 0x10EFF}, {0x10F46, 0x10F50},
    {0x10F82, 0x10F85}, {0x11070, 0x11070}, {0x1133B, 0x1133B}, {0x1145E, 0x1145E},
    {0x11839, 0x1183A}, {0x11930, 0x11930}, {0x1193D, 0x1193E}, {0x11943, 0x11943},
    {0x119E0, 0x119E0}, {0x11A34, 0x11A34}, {0x11A47, 0x11A47}, {0x11A99, 0x11A99},
    {0x11D42, 0x11D42}, {0x11D44, 0x11D45}, {0x11D97, 0x11D97}, {0x11F41, 0x11F42},
    {0x16FF0, 0x16FF1}, {0x1E08F, 0x1E08F}, {0x1E130, 0x1E136}, {0x1E2AE, 0x1E2AE},
    {0x1E2EC, 0x1E2EF}, {0x1E4EC, 0x1E4EF},
};

bool is_later(char32_t c) { return in_ranges(c, kLater); }

}  // namespace

std::string compose_unicode9(std::string_view text) {
  const std::u32string points = decode_utf8(text).value_or_throw();
  if (std::none_of(points.begin(), points.end(), is_later)) return compose_text(text);
  std::string out, known;
  for (const char32_t c : points) {
    if (!is_later(c)) {
      append_utf8(known, c);
      continue;
    }
    out += compose_text(known);
    known.clear();
    append_utf8(out, c);
  }
  return out + compose_text(known);
}

}  // namespace l2a
