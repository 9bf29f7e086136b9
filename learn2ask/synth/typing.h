// How people type: words mistyped, capitals and full stops dropped.
#pragma once

#include <string>
#include <string_view>

#include "base/rng.h"

namespace l2a {

// `text` as typed in a hurry: some words of four or more ASCII letters get one slip (two letters
// swapped, one left out, one doubled; never the first letter), numbers stay as they are; the first
// letter becomes small and a final full stop goes.
std::string mistype(std::string_view text, Rng& rng);

}  // namespace l2a
