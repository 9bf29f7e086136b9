// Unicode's normal form C as the `tokenizers` library has it.
#pragma once

#include <string>
#include <string_view>

namespace l2a {

// `text` (valid UTF-8) in form C by the tables of Unicode 9, which are the library's: characters
// that came later neither change places nor compose.
std::string compose_unicode9(std::string_view text);

}  // namespace l2a
