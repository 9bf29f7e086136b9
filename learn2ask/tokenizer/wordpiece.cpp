#include "tokenizer/wordpiece.h"

#include <algorithm>
#include <cstdlib>
#include <memory>

#include <utf8proc.h>

#include "base/utf8.h"
#include "tokenizer/code_ranges.h"

namespace l2a {
namespace {

constexpr size_t kMaxWordCharacters = 100;  // a longer word is unknown as a whole

// The reference takes categories from Unicode 8 and knows no later control, mark or punctuation.
// Every such character that Unicode 9 to 15 brought lies in one of these ranges, and nothing
// else of those categories does; the test sweeps all code points to hold them to that.
constexpr CodeRange kNewerThanReference[] = {
    {0x061D, 0x061D},   {0x07FD, 0x07FD},   {0x0890, 0x08E2},   {0x09FD, 0x09FE},
    {0x0A76, 0x0A76},   {0x0AFA, 0x0AFF},   {0x0B55, 0x0B55},   {0x0C04, 0x0C3C},
    {0x0C77, 0x0C77},   {0x0C84, 0x0C84},   {0x0D00, 0x0D00},   {0x0D3B, 0x0D3C},
    {0x0D81, 0x0D81},   {0x0EBA, 0x0EBA},   {0x0ECE, 0x0ECE},   {0x180F, 0x1886},
    {0x1ABF, 0x1ACE},   {0x1B7D, 0x1B7E},   {0x1DF6, 0x1DFB},   {0x2E43, 0x2E5D},
    {0xA82C, 0xA82C},   {0xA8C5, 0xA8C5},   {0xA8FF, 0xA8FF},   {0xA9BD, 0xA9BD},
    {0x10D24, 0x10F89}, {0x11070, 0x11074}, {0x110C2, 0x110CD}, {0x111CF, 0x111CF},
    {0x1123E, 0x11241}, {0x1133B, 0x1133B}, {0x11438, 0x1145E}, {0x11660, 0x1166C},
    {0x116B9, 0x116B9}, {0x1182F, 0x11FFF}, {0x12FF1, 0x13455}, {0x16E97, 0x16F4F},
    {0x16FE2, 0x16FE4}, {0x1CF00, 0x1CF46}, {0x1E000, 0x1E4EF}, {0x1E944, 0x1E95F}};

utf8proc_category_t category(char32_t c) {
  // Three characters have changed category since Unicode 8.
  if (c == 0x166D || c == 0x111C9) return UTF8PROC_CATEGORY_PO;
  if (c == 0x1734) return UTF8PROC_CATEGORY_MN;
  if (in_ranges(c, kNewerThanReference)) return UTF8PROC_CATEGORY_CN;
  return utf8proc_category(static_cast<utf8proc_int32_t>(c));
}

bool is_removed(char32_t c) {
  if (c == '\t' || c == '\n' || c == '\r') return false;
  const auto k = category(c);
  return c == 0xFFFD || k == UTF8PROC_CATEGORY_CC || k == UTF8PROC_CATEGORY_CF ||
         k == UTF8PROC_CATEGORY_CO;
}

bool is_bert_punctuation(char32_t c) {
  if (c < 0x80) {
    return (c >= '!' && c <= '/') || (c >= ':' && c <= '@') || (c >= '[' && c <= '`') ||
           (c >= '{' && c <= '~');
  }
  const auto k = category(c);
  return k >= UTF8PROC_CATEGORY_PC && k <= UTF8PROC_CATEGORY_PO;
}

// Source: Devlin et al. 2018, tokenization.py (_is_chinese_char), but U+2B820 to U+2B91F: the
// reference, tokenizers' bert.rs, leaves them out.
bool is_cjk(char32_t c) {
  static constexpr CodeRange kRanges[] = {
      {0x3400, 0x4DBF},   {0x4E00, 0x9FFF},   {0xF900, 0xFAFF},   {0x20000, 0x2A6DF},
      {0x2A700, 0x2B73F}, {0x2B740, 0x2B81F}, {0x2B920, 0x2CEAF}, {0x2F800, 0x2FA1F}};
  return in_ranges(c, kRanges);
}

// Without controls, white space as spaces, spaces around each CJK character.
std::string clean(std::u32string_view text) {
  std::string out;
  for (const char32_t c : text) {
    if (is_removed(c)) continue;
    if (is_space(c)) {
      out += ' ';
    } else if (is_cjk(c)) {
      out += ' ';
      append_utf8(out, c);
      out += ' ';
    } else {
      append_utf8(out, c);
    }
  }
  return out;
}

// Canonical decomposition (NFD).
std::u32string decompose(const std::string& text) {
  utf8proc_uint8_t* mapped = nullptr;
  const auto length =
      utf8proc_map(reinterpret_cast<const utf8proc_uint8_t*>(text.data()),
                   static_cast<utf8proc_ssize_t>(text.size()), &mapped,
                   static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_DECOMPOSE));
  const std::unique_ptr<utf8proc_uint8_t, decltype(&std::free)> owned(mapped, std::free);
  check(length >= 0, "utf8proc_map failed on valid UTF-8");
  return decode_utf8({reinterpret_cast<const char*>(mapped), static_cast<size_t>(length)})
      .value_or_throw();
}

// The words of a text as the model sees them: no accents, lower case, each punctuation character a
// word of its own.
std::vector<std::u32string> bert_words(std::u32string_view text) {
  std::vector<std::u32string> words;
  bool open = false;
  for (const char32_t c : decompose(clean(text))) {
    if (category(c) == UTF8PROC_CATEGORY_MN) continue;
    const bool alone = is_bert_punctuation(c);
    if (c == ' ') {
      open = false;
      continue;
    }
    if (!open || alone) words.emplace_back();
    words.back() += static_cast<char32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(c)));
    open = !alone;
  }
  return words;
}

}  // namespace

WordPieceTokenizer::WordPieceTokenizer(std::string_view vocabulary) {
  int32_t id = 0;
  for (size_t at = 0; at < vocabulary.size(); ++id) {
    const size_t newline = std::min(vocabulary.find('\n', at), vocabulary.size());
    std::string_view token = vocabulary.substr(at, newline - at);
    if (token.ends_with('\r')) token.remove_suffix(1);
    ids_.insert_or_assign(std::string(token), id);
    at = newline + 1;
  }
  const auto special = [&](const char* token) {
    const auto found = ids_.find(token);
    if (found == ids_.end()) fail_input(std::string("vocabulary: ") + token + ": missing");
    return found->second;
  };
  unknown_ = special("[UNK]");
  begin_ = special("[CLS]");
  end_ = special("[SEP]");
}

void WordPieceTokenizer::encode_word(const std::u32string& word, std::vector<int32_t>& out) const {
  if (word.size() > kMaxWordCharacters) return out.push_back(unknown_);
  const size_t before = out.size();
  for (size_t at = 0; at < word.size();) {
    size_t end = word.size() + 1;
    auto found = ids_.end();
    while (found == ids_.end() && --end > at) {
      const auto part = encode_utf8(std::u32string_view(word).substr(at, end - at));
      found = ids_.find(at == 0 ? part : "##" + part);
    }
    if (found == ids_.end()) {  // one part that is unknown makes the whole word so
      out.resize(before);
      return out.push_back(unknown_);
    }
    out.push_back(found->second);
    at = end;
  }
}

Result<std::vector<int32_t>> WordPieceTokenizer::encode(std::string_view text,
                                                        size_t max_tokens) const {
  check(max_tokens >= 2, "WordPieceTokenizer::encode: no room for [CLS] and [SEP]");
  const auto characters = decode_utf8(text);
  if (!characters) {
    return Error{characters.error().code, "text: " + characters.error().message};
  }
  std::vector<int32_t> ids{begin_};
  for (const auto& word : bert_words(*characters)) {
    if (ids.size() >= max_tokens) break;
    encode_word(word, ids);
  }
  ids.resize(std::min(ids.size(), max_tokens - 1));
  ids.push_back(end_);
  return ids;
}

}  // namespace l2a
