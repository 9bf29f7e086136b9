// Texts by their words: which of them is nearest to another.
//
// Cosine of TF-IDF vectors over content words (hindsight/reply.h): a word counts as often as it
// stands in a text, times 1 + ln(texts / texts with the word).
#pragma once

#include <cstddef>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "hindsight/question.h"

namespace l2a {

// Immutable; thread-safe. `forms` must outlive it.
class WordIndex {
 public:
  WordIndex(std::span<const std::string> texts, const QuestionForms& forms);

  struct Match {
    size_t text = 0;    // its place in `texts`
    double cosine = 0;  // in (0, 1]
  };
  // The nearest of those that `may_be` lets pass, the first of equals; nullopt when none of them
  // shares a word. Words that no text has count as the rarest ones.
  std::optional<Match> nearest(const std::string& text,
                               const std::function<bool(size_t)>& may_be) const;

 private:
  struct Word {
    double idf = 0;
    std::vector<std::pair<size_t, double>> in = {};  // texts, and its weight there
  };
  using Weights = std::map<size_t, double>;  // by word
  void add_text(const std::vector<size_t>& content, size_t text);

  const QuestionForms& forms_;
  size_t texts_;
  std::unordered_map<std::string, size_t> words_by_name_;
  std::vector<Word> words_;
};

}  // namespace l2a
