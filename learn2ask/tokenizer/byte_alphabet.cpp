#include "tokenizer/byte_alphabet.h"

#include <array>
#include <cstdint>
#include <string_view>

#include "base/utf8.h"

namespace l2a {
namespace {

constexpr std::array<char32_t, 256> make_byte_alphabet() {
  std::array<char32_t, 256> alphabet{};
  char32_t next = 0x100;
  for (char32_t b = 0; b < 256; ++b) {
    const bool printable = (b >= '!' && b <= '~') || (b >= 0xA1 && b <= 0xAC) || b >= 0xAE;
    alphabet[b] = printable ? b : next++;
  }
  return alphabet;
}
constexpr auto kByteAlphabet = make_byte_alphabet();

}  // namespace

std::string byte_character(size_t byte) {
  return encode_utf8(std::u32string_view(&kByteAlphabet.at(byte), 1));
}

int byte_of(char32_t c) {
  static const auto bytes = [] {
    std::array<int16_t, 0x144> table;
    table.fill(kNoByte);
    for (size_t b = 0; b < 256; ++b) table[kByteAlphabet[b]] = static_cast<int16_t>(b);
    return table;
  }();
  return c < bytes.size() ? bytes[c] : kNoByte;
}

std::string byte_token(size_t byte) {
  constexpr char kDigits[] = "0123456789ABCDEF";
  return std::string("<0x") + kDigits[byte / 16] + kDigits[byte % 16] + ">";
}

}  // namespace l2a
