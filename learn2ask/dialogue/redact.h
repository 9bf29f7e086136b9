// Replacing e-mail addresses, phone numbers and card numbers by placeholders.
//
// By rule, in favour of hiding too much; names and street addresses are not found.
#pragma once

#include <array>
#include <map>
#include <string>
#include <string_view>
#include <utility>

#include "base/json.h"

namespace l2a {

enum class Secret { kEmail, kPhone, kCard };

// One object a session: the same value gets the same placeholder ("<EMAIL_1>", "<PHONE_1>",
// "<CARD_1>", "<EMAIL_2>", ...) in all its texts. Addresses are compared without letter case,
// numbers by their digits. Not thread-safe.
//
//   card   13 to 19 digits in groups (space or hyphen between) that pass the Luhn check
//   phone  9 to 15 digits, 8 with a plus or in groups, or 3-4 as in "555-0123", with spaces,
//          hyphens, dots or brackets between; but no date, decimal number
//          or network address
class Redactor {
 public:
  std::string redact(std::string_view text);
  // Every string and whole number inside `value`, keys apart.
  void redact(Json& value);

  // How many texts were replaced (not how many different ones).
  size_t replaced(Secret kind) const { return replaced_[static_cast<size_t>(kind)]; }

 private:
  std::string placeholder(Secret kind, const std::string& value);
  std::map<std::pair<Secret, std::string>, size_t> numbers_;
  std::array<size_t, 3> distinct_{}, replaced_{};
};

}  // namespace l2a
