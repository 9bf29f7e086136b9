// UTF-8 text: checked decoding, normal forms, words. Tables are utf8proc's.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace l2a {

// Byte offset of the first ill-formed sequence (overlong, surrogate, truncated, above
// U+10FFFF); nullopt when all of it is valid.
std::optional<size_t> find_bad_utf8(std::string_view text);

// Code points of valid UTF-8. kInvalidInput, naming the byte, otherwise.
Result<std::u32string> decode_utf8(std::string_view text);
void append_utf8(std::string& out, char32_t code_point);
std::string encode_utf8(std::u32string_view text);

// Unicode general category as its two letters would be grouped.
bool is_letter(char32_t c);       // L*
bool is_mark(char32_t c);         // M*
bool is_number(char32_t c);       // N*
bool is_punctuation(char32_t c);  // P*
bool is_space(char32_t c);        // White_Space

// Case-folded NFKC with runs of white space made one space, ends trimmed. Input that is not
// valid UTF-8 is a bug of the caller (check()): readers refuse it first.
std::string normalise_text(std::string_view text);

// `text` (valid UTF-8) in Unicode's normal form C.
std::string compose_text(std::string_view text);

std::string trim(std::string_view text);  // Unicode white space at both ends

// Words of normalise_text(text): runs of letters, marks, numbers and inner apostrophes; each
// Han, Hiragana, Katakana or Thai character is a word of its own.
std::vector<std::string> words(std::string_view text);

// Share of the letters of `text` that are in Latin script; 1 when it has none.
double latin_share(std::string_view text);

// At most `max_bytes` bytes of text for a message, cut at a character, "..." appended when cut,
// control characters replaced: what data says must not reach a terminal raw.
std::string shown(std::string_view text, size_t max_bytes = 60);

}  // namespace l2a
