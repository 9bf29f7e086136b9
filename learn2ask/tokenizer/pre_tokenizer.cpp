#include "tokenizer/pre_tokenizer.h"

#include <array>

#include "base/error.h"
#include "base/utf8.h"

namespace l2a {
namespace {

enum class Kind { kEnd, kSpace, kLetter, kNumber, kOther };

Kind kind_of(char32_t c) {
  if (is_letter(c)) return Kind::kLetter;
  if (is_number(c)) return Kind::kNumber;
  return is_space(c) ? Kind::kSpace : Kind::kOther;
}

struct Character {
  Kind kind = Kind::kEnd;
  size_t length = 0;  // in bytes
};

// The character at `at`; of kind kEnd past the end.
Character character_at(std::string_view text, size_t at) {
  if (at >= text.size()) return {};
  const auto byte = [&](size_t i) {
    return static_cast<char32_t>(static_cast<unsigned char>(text[at + i]));
  };
  const char32_t b0 = byte(0);
  if (b0 < 0x80) {
    static const auto ascii_kinds = [] {
      std::array<Kind, 0x80> kinds{};
      for (char32_t c = 0; c < 0x80; ++c) kinds[c] = kind_of(c);
      return kinds;
    }();
    return {ascii_kinds[b0], 1};
  }
  if (b0 < 0xE0) return {kind_of((b0 & 0x1F) << 6 | (byte(1) & 0x3F)), 2};
  if (b0 < 0xF0) return {kind_of((b0 & 0x0F) << 12 | (byte(1) & 0x3F) << 6 | (byte(2) & 0x3F)), 3};
  return {kind_of((b0 & 0x07) << 18 | (byte(1) & 0x3F) << 12 | (byte(2) & 0x3F) << 6 |
                  (byte(3) & 0x3F)),
          4};
}

// Length of the contraction that `text` starts with; 0 when there is none.
size_t contraction_length(std::string_view text) {
  for (const std::string_view ending : {"'s", "'t", "'re", "'ve", "'m", "'ll", "'d"}) {
    if (text.starts_with(ending)) return ending.size();
  }
  return 0;
}

// End of the run of white space that starts at `at`, less its last character when a word follows:
// that one goes with the word, or stands alone.
size_t end_of_spaces(std::string_view text, size_t at) {
  size_t last = at, end = at;
  Character c = character_at(text, at);
  for (; c.kind == Kind::kSpace; c = character_at(text, end)) {
    last = end;
    end += c.length;
  }
  return c.kind == Kind::kEnd || last == at ? end : last;
}

size_t end_of_piece(std::string_view text, size_t at) {
  if (const size_t length = contraction_length(text.substr(at))) return at + length;
  const bool space_first = text[at] == ' ';
  size_t end = at + (space_first ? 1 : 0);
  const Kind kind = character_at(text, end).kind;
  if (kind == Kind::kSpace || kind == Kind::kEnd) return end_of_spaces(text, at);
  for (Character c = character_at(text, end); c.kind == kind; c = character_at(text, end)) {
    end += c.length;
  }
  return end;
}

}  // namespace

void split_gpt2(std::string_view text, const std::function<void(std::string_view)>& piece) {
  for (size_t at = 0; at < text.size();) {
    const size_t end = end_of_piece(text, at);
    piece(text.substr(at, end - at));
    at = end;
  }
}

}  // namespace l2a
