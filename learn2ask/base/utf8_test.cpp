#include "base/utf8.h"

#include <cstdio>
#include <sstream>
#include <unordered_set>

#include <gtest/gtest.h>

#include "base/file.h"
#include "base/rng.h"
#include "base/testing.h"

namespace l2a {
namespace {

using Words = std::vector<std::string>;

// The bytes of a code point, by the definition (RFC 3629, section 3).
std::string by_definition(char32_t c) {
  const auto byte = [](char32_t value) { return static_cast<char>(value); };
  if (c < 0x80) return {byte(c)};
  if (c < 0x800) return {byte(0xC0 + c / 64), byte(0x80 + c % 64)};
  if (c < 0x10000) return {byte(0xE0 + c / 4096), byte(0x80 + c / 64 % 64), byte(0x80 + c % 64)};
  return {byte(0xF0 + c / 262144), byte(0x80 + c / 4096 % 64), byte(0x80 + c / 64 % 64),
          byte(0x80 + c % 64)};
}

bool is_scalar(char32_t c) { return c < 0xD800 || (c > 0xDFFF && c <= 0x10FFFF); }

// Every character there is; text is well-formed iff it is cut into these.
const std::unordered_set<std::string>& all_characters() {
  static const auto* all = [] {
    auto* set = new std::unordered_set<std::string>;
    set->reserve(1'200'000);
    for (char32_t c = 0; c <= 0x10FFFF; ++c) {
      if (is_scalar(c)) set->insert(by_definition(c));
    }
    return set;
  }();
  return *all;
}

std::optional<size_t> find_bad_by_search(const std::string& text) {
  for (size_t at = 0; at < text.size();) {
    size_t length = 1;
    while (length <= 4 && !all_characters().contains(text.substr(at, length))) ++length;
    if (length > 4) return at;
    at += length;
  }
  return std::nullopt;
}

TEST(FindBadUtf8, AgreesWithASearchThroughAllCharacters) {
  // Bytes at the borders of the table of well-formed sequences, and some between.
  const std::string bytes =
      "a\x7F\x80\x8F\x90\x9F\xA0\xBF\xC0\xC1\xC2\xDF\xE0\xE1\xEC\xED\xEE\xEF\xF0\xF1\xF3\xF4\xF5"
      "\xFF";
  Rng rng(1);
  for (int i = 0; i < 300'000; ++i) {
    std::string text;
    for (uint64_t n = rng.below(7); n > 0; --n) {
      text += rng.chance(0.3) ? by_definition(static_cast<char32_t>(rng.below(0xD800)))
                              : std::string(1, bytes[rng.below(bytes.size())]);
    }
    ASSERT_EQ(find_bad_utf8(text), find_bad_by_search(text)) << testing::PrintToString(text);
  }
}

TEST(DecodeUtf8, GivesBackEveryCharacter) {
  std::u32string all;
  std::string encoded;
  for (char32_t c = 0; c <= 0x10FFFF; ++c) {
    if (!is_scalar(c)) continue;
    all += c;
    encoded += by_definition(c);
  }
  EXPECT_EQ(*decode_utf8(encoded), all);
  EXPECT_EQ(encode_utf8(all), encoded);
  EXPECT_EQ(decode_utf8("ab\xff").error().message, "byte 3: invalid UTF-8");
}

TEST(NormaliseText, FoldsCaseFormsAndSpace) {
  EXPECT_EQ(normalise_text(""), "");
  EXPECT_EQ(normalise_text(" \t\u3000\u00a0 "), "");
  EXPECT_EQ(normalise_text("  Hello,\n\tWORLD  "), "hello, world");
  EXPECT_EQ(normalise_text("\uFB01ne \uFF21\uFF22 \u2460"), "fine ab 1");
  EXPECT_EQ(normalise_text("Stra\u00dfe"), "strasse");
  EXPECT_EQ(normalise_text("cafe\u0301"), "caf\u00e9");
  EXPECT_EQ(normalise_text("zero\u200bwidth\u00ad"), "zerowidth");
}

TEST(NormaliseText, OfANormalFormIsItself) {
  Rng rng(3);
  for (int i = 0; i < 20'000; ++i) {
    std::u32string text;
    for (int n = 0; n < 8; ++n) {
      const auto c = static_cast<char32_t>(rng.below(rng.chance(0.5) ? 0x3000 : 0x20000));
      if (is_scalar(c)) text += c;
    }
    const std::string once = normalise_text(encode_utf8(text));
    ASSERT_EQ(normalise_text(once), once) << encode_utf8(text);
  }
}

TEST(Words, AreRunsOfLettersMarksAndNumbers) {
  EXPECT_EQ(words("How OLD are you?"), (Words{"how", "old", "are", "you"}));
  EXPECT_EQ(words("don't, don\u2019t 'quoted' rock'"), (Words{"don't", "don't", "quoted", "rock"}));
  EXPECT_EQ(words("20mg, 2.5 x-ray"), (Words{"20mg", "2", "5", "x", "ray"}));
  EXPECT_EQ(words("\u6211\u5934\u75db3\u5929 ok"),
            (Words{"\u6211", "\u5934", "\u75db", "3", "\u5929", "ok"}));
  EXPECT_EQ(words("\u304b\u3099\u30ab"), (Words{"\u304c", "\u30ab"}));
  EXPECT_EQ(words("\u0e17\u0e35\u0e48"), (Words{"\u0e17\u0e35\u0e48"}));
  EXPECT_EQ(words("\u05e9\u05dc\u05d5\u05dd caf\u00e9"),
            (Words{"\u05e9\u05dc\u05d5\u05dd", "caf\u00e9"}));
  EXPECT_EQ(words("\u0938\u094d\u0925\u093f\u0924\u093f"),
            (Words{"\u0938\u094d\u0925\u093f\u0924\u093f"}));
  EXPECT_EQ(words("?! ..."), Words{});
}

TEST(Trim, TakesSpaceOfAnyScriptOffTheEnds) {
  EXPECT_EQ(trim(" \u3000\u2003a b\u00a0\n"), "a b");
  EXPECT_EQ(trim(" \u2028 "), "");
  EXPECT_EQ(trim("\xff \xff"), "\xff \xff");  // not UTF-8: nothing is a space there
  EXPECT_EQ(trim("\x80\x80 "), "\x80\x80");
}

TEST(LatinShare, CountsLettersOnly) {
  EXPECT_EQ(latin_share(""), 1);
  EXPECT_EQ(latin_share("123 ?!"), 1);
  EXPECT_EQ(latin_share("caf\u00e9 12"), 1);
  EXPECT_EQ(latin_share("\u4f60\u597d"), 0);
  EXPECT_EQ(latin_share("ab\u4f60\u597d"), 0.5);
}

TEST(Shown, IsShortAndHarmless) {
  EXPECT_EQ(shown("plain"), "plain");
  EXPECT_EQ(shown("a\x1b[31m\nb\xff\u202e"), "a?[31m b??");
  EXPECT_EQ(shown(std::string(61, 'x')), std::string(57, 'x') + "...");
  EXPECT_EQ(shown(std::string(60, 'x')), std::string(60, 'x'));
  Rng rng(4);
  for (int i = 0; i < 20'000; ++i) {
    std::string text;
    for (uint64_t n = rng.below(40); n > 0; --n) text += static_cast<char>(rng.below(256));
    const size_t limit = rng.below(30);
    const std::string out = shown(text, limit);
    ASSERT_LE(out.size(), limit);
    ASSERT_FALSE(find_bad_utf8(out));
    for (const char c : out) ASSERT_TRUE(static_cast<unsigned char>(c) >= 0x20 && c != 0x7F);
  }
}

// Python's unicodedata knows the same properties from its own tables.
TEST(Unicode, AgreesWithPythonOnEveryOldCharacter) {
  const std::string script = L2A_SOURCE_DIR "/tests/reference/unicode_properties.py";
  FILE* python = popen((std::string(L2A_PYTHON) + " " + script).c_str(), "r");
  ASSERT_NE(python, nullptr);
  std::string table;
  char chunk[1 << 16];
  for (size_t got; (got = fread(chunk, 1, sizeof chunk, python)) > 0;) table.append(chunk, got);
  ASSERT_EQ(pclose(python), 0);

  std::istringstream lines(table);
  size_t count = 0;
  for (std::string line; std::getline(lines, line); ++count) {
    std::istringstream fields(line);
    uint32_t code = 0;
    char group = 0;
    int space = 0, latin = 0;
    std::string normal, part;
    fields >> std::hex >> code >> group >> space >> latin;
    while (fields >> part)
      append_utf8(normal, static_cast<char32_t>(std::stoul(part, nullptr, 16)));
    const char32_t c = code;
    EXPECT_EQ(is_letter(c), group == 'L') << line;
    EXPECT_EQ(is_mark(c), group == 'M') << line;
    EXPECT_EQ(is_number(c), group == 'N') << line;
    EXPECT_EQ(is_punctuation(c), group == 'P') << line;
    EXPECT_EQ(is_space(c), space == 1) << line;
    const std::string text = encode_utf8(std::u32string(1, c));
    EXPECT_EQ(latin_share(text), group == 'L' ? latin : 1) << line;
    EXPECT_EQ(normalise_text(text), normal) << line;
  }
  EXPECT_GT(count, 90'000u);
}

}  // namespace
}  // namespace l2a
