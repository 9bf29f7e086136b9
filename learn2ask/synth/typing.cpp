#include "synth/typing.h"

namespace l2a {
namespace {

constexpr double kSlipsPerWord = 0.08;
constexpr size_t kShortestMistyped = 4;

bool is_ascii_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

void slip(std::string& word, Rng& rng) {
  const size_t at = 1 + rng.below(word.size() - 2);  // neither the first nor the last letter
  switch (rng.below(3)) {
    case 0:
      std::swap(word[at], word[at + 1]);
      break;
    case 1:
      word.erase(at, 1);
      break;
    default:
      word.insert(at, 1, word[at]);
      break;
  }
}

}  // namespace

std::string mistype(std::string_view text, Rng& rng) {
  std::string out;
  for (size_t at = 0; at < text.size();) {
    size_t end = at;
    while (end < text.size() && is_ascii_letter(text[end])) ++end;
    std::string word(text.substr(at, end - at));
    if (word.size() >= kShortestMistyped && rng.chance(kSlipsPerWord)) slip(word, rng);
    out += word;
    if (end < text.size()) out += text[end++];
    at = end;
  }
  if (!out.empty() && out.front() >= 'A' && out.front() <= 'Z') out.front() += 'a' - 'A';
  if (out.size() > 1 && out.back() == '.') out.pop_back();
  return out;
}

}  // namespace l2a
