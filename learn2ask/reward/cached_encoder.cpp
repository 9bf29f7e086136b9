#include "reward/cached_encoder.h"

#include <algorithm>
#include <unordered_set>

namespace l2a {

CachedEncoder::CachedEncoder(TextEncoder& encoder, size_t capacity)
    : encoder_(encoder), capacity_(capacity) {}

void CachedEncoder::encode_missing(std::span<const std::string> texts) {
  std::vector<std::string> missing;
  std::unordered_set<std::string_view> seen;
  for (const std::string& text : texts) {
    if (!by_text_.contains(text) && seen.insert(text).second) missing.push_back(text);
  }
  if (missing.empty()) return;

  const std::vector<float> vectors = encoder_.encode(missing);
  check(vectors.size() == missing.size() * width(), "CachedEncoder: vectors of another shape");
  for (size_t i = 0; i < missing.size(); ++i) {
    const auto begin = vectors.begin() + static_cast<std::ptrdiff_t>(i * width());
    const auto end = begin + static_cast<std::ptrdiff_t>(width());
    entries_.push_front({std::move(missing[i]), std::vector<float>(begin, end)});
    by_text_[entries_.front().text] = entries_.begin();
  }
}

std::vector<float> CachedEncoder::encode(std::span<const std::string> texts) {
  encode_missing(texts);
  std::vector<float> result;
  result.reserve(texts.size() * width());
  for (const std::string& text : texts) {
    const auto found = by_text_.at(text);
    entries_.splice(entries_.begin(), entries_, found);
    result.insert(result.end(), found->vector.begin(), found->vector.end());
  }
  while (entries_.size() > capacity_) {  // only now: this call's texts were all needed
    by_text_.erase(entries_.back().text);
    entries_.pop_back();
  }
  return result;
}

}  // namespace l2a
