#include "tokenizer/pre_tokenizer.h"

#include <array>
#include <cstdint>
#include <string>

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

// End of the run of characters of the kind that stands at `at`, at most `most` of them.
size_t end_of_run(std::string_view text, size_t at, size_t most = SIZE_MAX) {
  const Kind kind = character_at(text, at).kind;
  for (Character c = character_at(text, at); most > 0 && c.kind == kind && kind != Kind::kEnd;
       c = character_at(text, at), --most) {
    at += c.length;
  }
  return at;
}

size_t end_of_gpt2_piece(std::string_view text, size_t at) {
  if (const size_t length = contraction_length(text.substr(at))) return at + length;
  const size_t word = at + (text[at] == ' ' ? 1 : 0);
  const Kind kind = character_at(text, word).kind;
  if (kind == Kind::kSpace || kind == Kind::kEnd) return end_of_spaces(text, at);
  return end_of_run(text, word);
}

// One number character, or all up to the next one.
size_t end_of_digit_or_rest(std::string_view text, size_t at) {
  Character c = character_at(text, at);
  if (c.kind == Kind::kNumber) return at + c.length;
  for (; c.kind != Kind::kNumber && c.kind != Kind::kEnd; c = character_at(text, at)) {
    at += c.length;
  }
  return at;
}

bool is_newline(char c) { return c == '\r' || c == '\n'; }

// As contraction_length(), in either case; the long s (U+017F) is an s in another case.
size_t contraction_length_any_case(std::string_view text) {
  if (!text.starts_with('\'')) return 0;
  if (text.substr(1).starts_with("\u017F")) return 3;
  std::string lower(text.substr(0, 3));
  for (char& c : lower) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return contraction_length(lower);
}

// End of the white space that starts at `at`: just after its last newline, if it has one.
size_t end_of_spaces_and_newlines(std::string_view text, size_t at) {
  const size_t end = end_of_run(text, at);
  for (size_t last = end; last > at; --last) {
    if (is_newline(text[last - 1])) return last;
  }
  return end_of_spaces(text, at);
}

size_t end_of_llama3_piece(std::string_view text, size_t at, size_t most_digits) {
  if (const size_t length = contraction_length_any_case(text.substr(at))) return at + length;
  const Character first = character_at(text, at);
  if (first.kind == Kind::kLetter) return end_of_run(text, at);
  if (first.kind == Kind::kNumber) return end_of_run(text, at, most_digits);
  const size_t next = at + first.length;
  if (!is_newline(text[at]) && character_at(text, next).kind == Kind::kLetter) {
    return end_of_run(text, next);
  }
  const size_t other = at + (text[at] == ' ' ? 1 : 0);
  if (character_at(text, other).kind == Kind::kOther) {
    size_t end = end_of_run(text, other);
    while (end < text.size() && is_newline(text[end])) ++end;
    return end;
  }
  return end_of_spaces_and_newlines(text, at);
}

template <class End>
void split_by(std::string_view text, const std::function<void(std::string_view)>& piece,
              const End& end_of_piece) {
  for (size_t at = 0; at < text.size();) {
    const size_t end = end_of_piece(text, at);
    piece(text.substr(at, end - at));
    at = end;
  }
}

}  // namespace

void split_pieces(PreTokenizer pattern, std::string_view text,
                  const std::function<void(std::string_view)>& piece) {
  switch (pattern) {
    case PreTokenizer::kGpt2:
      return split_by(text, piece, end_of_gpt2_piece);
    case PreTokenizer::kDigitsThenGpt2:
      return split_by(
          text,
          [&](std::string_view part) {
            if (character_at(part, 0).kind == Kind::kNumber) {
              piece(part);
            } else {
              split_by(part, piece, end_of_gpt2_piece);
            }
          },
          end_of_digit_or_rest);
    case PreTokenizer::kLlama3:
      return split_by(text, piece, [](std::string_view rest, size_t at) {
        return end_of_llama3_piece(rest, at, 3);
      });
    case PreTokenizer::kQwen2:
      return split_by(text, piece, [](std::string_view rest, size_t at) {
        return end_of_llama3_piece(rest, at, 1);
      });
  }
}

}  // namespace l2a
