#include "hindsight/sentence.h"

#include <algorithm>
#include <array>
#include <iterator>
#include <string>

#include "base/utf8.h"

namespace l2a {
namespace {

// A text as code points with the byte at which each begins; one extra entry at the end.
struct Points {
  std::u32string code;
  std::vector<size_t> byte;

  explicit Points(std::string_view text) : code(decode_utf8(text).value_or_throw()) {
    size_t at = 0;
    for (const char32_t c : code) {
      byte.push_back(at);
      at += c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    }
    byte.push_back(at);
  }
  size_t size() const { return code.size(); }
  // The code point at `i`, or a newline outside the text.
  char32_t at(size_t i) const { return i < code.size() ? code[i] : U'\n'; }
  char32_t before(size_t i) const { return i > 0 ? code[i - 1] : U'\n'; }
};

template <size_t N>
bool one_of(char32_t c, const std::array<char32_t, N>& set) {
  return std::find(set.begin(), set.end(), c) != set.end();
}

bool is_greek(char32_t c) { return (c >= 0x370 && c <= 0x3FF) || (c >= 0x1F00 && c <= 0x1FFF); }

// Marks that say "question" wherever they stand. The Armenian one stands inside the asking word,
// the inverted one opens the question; neither ends a sentence.
bool is_question_mark(char32_t c) {
  static constexpr std::array<char32_t, 19> kMarks = {
      '?',    0x37E,  0x55E,  0x61F,  0x1367, 0x1945, 0x2047, 0x2048,  0x2049, 0x203D,
      0x2753, 0x2754, 0x2E2E, 0xA60F, 0xA6F7, 0xFE16, 0xFE56, 0x11143, 0xFF1F};
  return c == 0xBF || one_of(c, kMarks);
}

bool is_greek_question_mark(const Points& text, size_t i) {
  return text.code[i] == ';' && is_greek(text.before(i)) && is_space(text.at(i + 1));
}

// Ends a sentence whatever follows.
bool always_ends(const Points& text, size_t i) {
  static constexpr std::array<char32_t, 22> kEnds = {
      '!',    0x589,  0x55C,  0x6D4,  0x964,  0x965,  0x104A, 0x104B, 0x1362, 0x17D4, 0x203C,
      0x2E2E, 0x3002, 0xFE12, 0xFE15, 0xFE52, 0xFE57, 0xFF01, 0xFF0E, 0xFF61, 0x1803, 0x1809};
  const char32_t c = text.code[i];
  return one_of(c, kEnds) || (is_question_mark(c) && c != 0xBF && c != 0x55E) ||
         is_greek_question_mark(text, i);
}

bool closes(char32_t c) {
  static constexpr std::array<char32_t, 17> kClosers = {
      '"',    '\'',   ')',    ']',    '}',    '*',    0xBB,   0x2019, 0x201D,
      0x203A, 0x300D, 0x300F, 0x3011, 0x300B, 0xFF09, 0xFF3D, 0xFF02};
  return one_of(c, kClosers);
}

bool is_upper(char32_t c) {
  std::string letter;
  append_utf8(letter, c);
  return is_letter(c) && normalise_text(letter) != letter;
}

// The index just past the web address that begins at `i`; `i` itself when none does. Punctuation
// that ends the address ends the sentence, not the address.
size_t past_address(const Points& text, size_t i) {
  static constexpr std::array<std::u32string_view, 3> kOpenings = {U"http://", U"https://",
                                                                   U"www."};
  const std::u32string_view rest = std::u32string_view(text.code).substr(i);
  if (std::none_of(kOpenings.begin(), kOpenings.end(),
                   [&](std::u32string_view opening) { return rest.starts_with(opening); })) {
    return i;
  }
  size_t end = i;
  while (end < text.size() && !is_space(text.code[end])) ++end;
  while (end > i && is_punctuation(text.code[end - 1])) --end;
  return end;
}

// "Dr. Lee", "e.g. this", "J. Smith", "1. Restart": the full stop at `i` belongs to its word.
bool is_abbreviation(const Points& text, size_t i, size_t sentence_begin) {
  size_t begin = i;
  while (begin > sentence_begin && !is_space(text.code[begin - 1])) --begin;
  while (begin < i && closes(text.code[begin])) ++begin;
  std::string word = encode_utf8(std::u32string_view(text.code).substr(begin, i - begin));
  const bool digit = word.size() == 1 && word[0] >= '0' && word[0] <= '9';
  if (digit && begin == sentence_begin) return true;  // the number of a list item
  if (i - begin == 1 && is_upper(text.code[begin]) && text.code[begin] != U'I') return true;
  word = normalise_text(word);
  static constexpr std::array<std::string_view, 16> kAlways = {
      "dr", "mr",     "mrs", "ms",   "prof", "st", "e.g", "i.e",
      "vs", "approx", "cf",  "dept", "fig",  "mt", "jr",  "sra"};
  static constexpr std::array<std::string_view, 7> kBeforeSmall = {"a.m", "p.m", "etc", "no",
                                                                   "u.s", "hr",  "min"};
  if (std::find(kAlways.begin(), kAlways.end(), word) != kAlways.end()) return true;
  size_t next = i + 1;
  while (next < text.size() && is_space(text.code[next])) ++next;
  return !is_upper(text.at(next)) && next < text.size() &&
         std::find(kBeforeSmall.begin(), kBeforeSmall.end(), word) != kBeforeSmall.end();
}

// "..." and its single character: a pause before a small letter, an end before anything else.
bool is_pause(const Points& text, size_t run_begin, size_t run_end) {
  if (run_end - run_begin < 2 && text.code[run_begin] != 0x2026) return false;
  size_t next = run_end;
  while (next < text.size() && is_space(text.code[next]) && text.code[next] != U'\n') ++next;
  return is_letter(text.at(next)) && !is_upper(text.code[next]);
}

// The index just past the sentence ending at `i`, closing marks included; `i` when none is there.
size_t past_ending(const Points& text, size_t i, size_t sentence_begin) {
  size_t end = i;
  if (always_ends(text, i)) {
    while (end < text.size() && (always_ends(text, end) || text.code[end] == U'.')) ++end;
  } else if ((text.code[i] == U'.' || text.code[i] == 0x2026) && text.before(i) != U'.' &&
             text.before(i) != 0x2026) {
    while (text.at(end) == U'.' || text.at(end) == 0x2026) ++end;
    if (end < text.size() && always_ends(text, end)) return past_ending(text, end, sentence_begin);
    if (is_pause(text, i, end)) return i;
    size_t after = end;
    while (closes(text.at(after))) ++after;
    if (!is_space(text.at(after)) && text.code[i] == U'.') return i;
    if (end - i == 1 && text.code[i] == U'.' && is_abbreviation(text, i, sentence_begin)) return i;
  } else {
    return i;
  }
  while (closes(text.at(end))) ++end;
  return end;
}

void add_trimmed(std::vector<ByteRange>& out, const Points& text, size_t begin, size_t end) {
  while (begin < end && is_space(text.code[begin])) ++begin;
  while (end > begin && is_space(text.code[end - 1])) --end;
  if (begin < end) out.push_back({text.byte[begin], text.byte[end]});
}

bool parts_clauses(const Points& text, size_t i) {
  static constexpr std::array<char32_t, 9> kAsciiParters = {',', ':', ';', '(', ')',
                                                            '[', ']', '/', '"'};
  // Not U+3001, the comma between the items of a Chinese list.
  static constexpr std::array<char32_t, 15> kParters = {0x60C,  0x61B,  0x2013, 0x2014, 0x2026,
                                                        0xFF0C, 0xFF1A, 0xFF1B, 0xFF08, 0xFF09,
                                                        0xFE50, 0xFE54, 0x201C, 0x201D, 0xBF};
  const char32_t c = text.code[i];
  if (one_of(c, kParters)) return true;
  if (c == '-') return is_space(text.before(i)) && is_space(text.at(i + 1));
  return one_of(c, kAsciiParters) && !(is_number(text.before(i)) && is_number(text.at(i + 1)));
}

}  // namespace

std::vector<ByteRange> sentence_ranges(std::string_view bytes) {
  const Points text(bytes);
  std::vector<ByteRange> out;
  size_t begin = 0;
  for (size_t i = 0; i < text.size();) {
    while (begin < i && is_space(text.code[begin])) ++begin;
    if (const size_t past = past_address(text, i); past != i) {
      i = past;
    } else if (text.code[i] == U'\n' || text.code[i] == 0x2028 || text.code[i] == 0x2029) {
      add_trimmed(out, text, begin, i);
      begin = ++i;
    } else if (const size_t end = past_ending(text, i, begin); end != i) {
      add_trimmed(out, text, begin, end);
      begin = i = end;
    } else {
      ++i;
    }
  }
  add_trimmed(out, text, begin, text.size());
  return out;
}

bool has_question_mark(std::string_view bytes) {
  const Points text(bytes);
  for (size_t i = 0; i < text.size();) {
    if (const size_t past = past_address(text, i); past != i) {
      i = past;
      continue;
    }
    if (is_question_mark(text.code[i]) || is_greek_question_mark(text, i)) return true;
    ++i;
  }
  return false;
}

std::vector<ByteRange> clause_ranges(std::string_view sentence) {
  const Points text(sentence);
  std::vector<ByteRange> out;
  size_t begin = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    if (!parts_clauses(text, i)) continue;
    add_trimmed(out, text, begin, i);
    begin = i + 1;
  }
  add_trimmed(out, text, begin, text.size());
  return out;
}

}  // namespace l2a
