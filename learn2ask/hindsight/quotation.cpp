#include "hindsight/quotation.h"

#include <algorithm>
#include <functional>
#include <string>
#include <vector>

#include "base/utf8.h"

namespace l2a {
namespace {

// Letters, marks and numbers of a text, folded, each with the bytes of the character it comes from.
struct Folded {
  std::u32string points;
  std::vector<ByteRange> from;
};

Folded fold(std::string_view text) {
  Folded folded;
  size_t at = 0;
  for (const char32_t c : decode_utf8(text).value_or_throw()) {
    const std::string bytes = encode_utf8({&c, 1});
    if (is_letter(c) || is_mark(c) || is_number(c)) {
      for (const char32_t f : decode_utf8(normalise_text(bytes)).value_or_throw()) {
        folded.points += f;
        folded.from.push_back({at, at + bytes.size()});
      }
    }
    at += bytes.size();
  }
  return folded;
}

// No word of `text` is cut in two at byte `at`.
bool between_words(std::string_view text, size_t at, size_t words_in_all) {
  return words(text.substr(0, at)).size() + words(text.substr(at)).size() == words_in_all;
}

}  // namespace

std::optional<ByteRange> find_quotation(std::string_view text, std::string_view quotation) {
  const Folded where = fold(text), what = fold(quotation);
  const auto wanted = words(quotation);
  if (wanted.empty() || what.points.empty()) return std::nullopt;
  const size_t count = words(text).size();
  const std::boyer_moore_horspool_searcher search(what.points.begin(), what.points.end());
  for (auto from = where.points.begin();; ++from) {
    from = std::search(from, where.points.end(), search);
    if (from == where.points.end()) return std::nullopt;
    const auto first = static_cast<size_t>(from - where.points.begin());
    const ByteRange range{where.from[first].begin, where.from[first + what.points.size() - 1].end};
    if (words(text.substr(range.begin, range.end - range.begin)) == wanted &&
        between_words(text, range.begin, count) && between_words(text, range.end, count)) {
      return range;
    }
  }
}

}  // namespace l2a
