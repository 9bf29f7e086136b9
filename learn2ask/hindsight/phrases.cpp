#include "hindsight/phrases.h"

#include <algorithm>

#include "base/file.h"
#include "base/utf8.h"

namespace l2a {
namespace {

constexpr size_t kMaxListBytes = 1 << 20;

constexpr std::array<std::string_view, kPhraseKinds> kSections = {
    "questions", "not questions", "amounts", "joiners", "alternatives", "contrast",
    "asks back", "explain",       "unknown", "thanks",  "yes or no",    "function words"};

PhraseKind kind_of_section(std::string_view line, const std::string& where) {
  if (!line.ends_with(']')) fail_input(where + ": section not closed: '" + shown(line) + "'");
  const std::string_view name = line.substr(1, line.size() - 2);
  const auto found = std::find(kSections.begin(), kSections.end(), name);
  if (found == kSections.end()) {
    std::string known;
    for (const std::string_view section : kSections) {
      known += (known.empty() ? "" : ", ") + std::string(section);
    }
    fail_input(where + ": unknown section '" + shown(name) + "' (known: " + known + ")");
  }
  return static_cast<PhraseKind>(found - kSections.begin());
}

}  // namespace

void PhraseList::add(std::vector<std::string> phrase, bool anywhere) {
  check(!phrase.empty(), "PhraseList: empty phrase");
  std::string first = phrase.front();
  by_first_word_[std::move(first)].push_back({std::move(phrase), anywhere});
}

size_t PhraseList::match(std::span<const std::string> words, size_t at, bool clause_start) const {
  const auto found = by_first_word_.find(words[at]);
  if (found == by_first_word_.end()) return 0;
  size_t longest = 0;
  for (const Phrase& phrase : found->second) {
    const size_t length = phrase.words.size();
    if (length <= longest || length > words.size() - at) continue;
    if (!phrase.anywhere && !clause_start) continue;
    if (std::equal(phrase.words.begin(), phrase.words.end(), words.begin() + at)) longest = length;
  }
  return longest;
}

Phrases Phrases::load(const std::filesystem::path& directory) {
  std::error_code failed;
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::directory_iterator(directory, failed)) {
    if (entry.path().extension() == ".txt") files.push_back(entry.path());
  }
  if (failed) {
    fail(ErrorCode::kNotFound, "question lists: " + directory.string() + ": " + failed.message());
  }
  if (files.empty()) {
    fail(ErrorCode::kNotFound, "question lists: " + directory.string() + ": no *.txt file");
  }
  std::sort(files.begin(), files.end());
  Phrases phrases;
  for (const auto& file : files) phrases.add(read_file(file, kMaxListBytes), file.string());
  return phrases;
}

void Phrases::add(std::string_view text, const std::string& name) {
  source_ += text;
  PhraseKind kind = PhraseKind::kQuestion;
  size_t number = 0;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    const std::string_view raw = text.substr(begin, end - begin);
    const std::string where = name + ":" + std::to_string(++number);
    begin = end + 1;
    if (find_bad_utf8(raw)) fail_input(where + ": not valid UTF-8");
    const std::string line = trim(raw);
    if (line.empty() || line.starts_with('#')) continue;
    if (line.starts_with('[')) {
      kind = kind_of_section(line, where);
      continue;
    }
    auto phrase = words(line);
    if (phrase.empty()) fail_input(where + ": no word in '" + shown(line) + "'");
    lists_[static_cast<size_t>(kind)].add(std::move(phrase), line.starts_with('*'));
  }
}

std::string Phrases::sha256() const { return sha256_hex(source_); }

}  // namespace l2a
