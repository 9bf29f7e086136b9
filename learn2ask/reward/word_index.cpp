#include "reward/word_index.h"

#include <cmath>
#include <set>

#include "hindsight/reply.h"

namespace l2a {
namespace {

double idf(size_t texts, size_t with_word) {
  return 1 + std::log(static_cast<double>(texts) / static_cast<double>(with_word));
}

}  // namespace

WordIndex::WordIndex(std::span<const std::string> texts, const QuestionForms& forms)
    : forms_(forms), texts_(texts.size()) {
  std::vector<std::vector<size_t>> contents;  // words of each text
  std::vector<size_t> counts;                 // of texts with each word
  for (const std::string& text : texts) {
    auto& content = contents.emplace_back();
    for (std::string& word : content_words(text, forms)) {
      const auto [known, is_new] = words_by_name_.emplace(std::move(word), counts.size());
      if (is_new) counts.push_back(0);
      content.push_back(known->second);
    }
    for (const size_t word : std::set(content.begin(), content.end())) ++counts[word];
  }
  for (const size_t count : counts) words_.push_back({.idf = idf(texts_, count)});
  for (size_t i = 0; i < contents.size(); ++i) add_text(contents[i], i);
}

void WordIndex::add_text(const std::vector<size_t>& content, size_t text) {
  Weights weights;
  for (const size_t word : content) weights[word] += words_[word].idf;
  double square = 0;
  for (const auto& [word, weight] : weights) square += weight * weight;
  for (const auto& [word, weight] : weights) {
    words_[word].in.push_back({text, weight / std::sqrt(square)});
  }
}

std::optional<WordIndex::Match> WordIndex::nearest(
    const std::string& text, const std::function<bool(size_t)>& may_be) const {
  if (texts_ == 0) return std::nullopt;
  Weights weights;
  std::map<std::string, double> unknown;
  for (const std::string& word : content_words(text, forms_)) {
    const auto known = words_by_name_.find(word);
    if (known != words_by_name_.end()) {
      weights[known->second] += words_[known->second].idf;
    } else {
      unknown[word] += idf(texts_, 1);
    }
  }
  double square = 0;
  for (const auto& [word, weight] : weights) square += weight * weight;
  for (const auto& [word, weight] : unknown) square += weight * weight;
  std::vector<double> cosines(texts_, 0);
  for (const auto& [word, weight] : weights) {
    for (const auto& [i, there] : words_[word].in) cosines[i] += weight / std::sqrt(square) * there;
  }
  std::optional<Match> best;
  for (size_t i = 0; i < texts_; ++i) {
    if (cosines[i] > (best ? best->cosine : 0) && may_be(i)) best = {i, cosines[i]};
  }
  return best;
}

}  // namespace l2a
