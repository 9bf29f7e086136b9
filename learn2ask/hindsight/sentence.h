// Sentences of free text in any script, as byte ranges, and question marks.
#pragma once

#include <cstddef>
#include <string_view>
#include <vector>

namespace l2a {

struct ByteRange {
  size_t begin = 0, end = 0;  // [begin, end)

  friend bool operator==(const ByteRange&, const ByteRange&) = default;
};

// Sentences of valid UTF-8: they end after sentence-ending punctuation of any script (with the
// quotes and brackets that close there) and at newlines; white space at both ends is left out, and
// none is empty. "Dr.", "3.5", "e.g.", "1." before a list item, "wait..." before a small letter
// and the inside of a web address end none.
std::vector<ByteRange> sentence_ranges(std::string_view text);

// A question mark of any script stands in the text: ? ？ ؟ ՞ ፧ ¿ ..., and the semicolon that ends
// a Greek sentence. The query part of a web address has none.
bool has_question_mark(std::string_view text);

// The clauses of one sentence: parts between commas, colons, semicolons, dashes and their like of
// any script, as byte ranges of `sentence`; "1,000" and "10:30" stay whole.
std::vector<ByteRange> clause_ranges(std::string_view sentence);

}  // namespace l2a
