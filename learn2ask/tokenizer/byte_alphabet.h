// How vocabularies write tokens that are bytes. Private to this module.
#pragma once

#include <cstddef>
#include <string>

namespace l2a {

// GPT-2 writes each byte of a token as a printable character: itself where it is one, otherwise
// the next unused one from U+0100 on. Source: Radford et al. 2019, encoder.py.
std::string byte_character(size_t byte);

inline constexpr int kNoByte = -1;
// The byte that a character of that alphabet stands for, or kNoByte.
int byte_of(char32_t c);

// SentencePiece has a token for each byte: "<0x0A>".
std::string byte_token(size_t byte);

}  // namespace l2a
