// Sorted ranges of code points, for what other libraries' Unicode tables say otherwise than ours.
#pragma once

#include <algorithm>
#include <cstddef>
#include <iterator>

namespace l2a {

struct CodeRange {
  char32_t first, last;
};

template <size_t n>
bool in_ranges(char32_t c, const CodeRange (&ranges)[n]) {
  const auto* after = std::upper_bound(std::begin(ranges), std::end(ranges), c,
                                       [](char32_t x, const CodeRange& r) { return x < r.first; });
  return after != std::begin(ranges) && c <= std::prev(after)->last;
}

}  // namespace l2a
