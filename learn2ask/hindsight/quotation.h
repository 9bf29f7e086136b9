// Finds what someone claims was said.
#pragma once

#include <optional>
#include <string_view>

#include "hindsight/sentence.h"

namespace l2a {

// Where `quotation` stands in `text`, both valid UTF-8: the same words (base/utf8.h) one after the
// other, whatever the case, the spaces and the punctuation between them. The range begins with the
// first word and ends with the last: "art" does not stand in "start". nullopt when it does not, or
// has no word. Letters that one of the two writes composed and the other does not are different.
std::optional<ByteRange> find_quotation(std::string_view text, std::string_view quotation);

}  // namespace l2a
