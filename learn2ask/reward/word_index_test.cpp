#include "reward/word_index.h"

#include <algorithm>
#include <cmath>
#include <set>

#include <gtest/gtest.h>

#include "base/rng.h"
#include "hindsight/reply.h"
#include "hindsight/testing.h"

namespace l2a {
namespace {

bool any_text(size_t) { return true; }

// By the definition: every text's whole vector, word by word.
double literal_cosine(const std::vector<std::string>& texts, const std::string& a,
                      const std::string& b) {
  std::set<std::string> words;
  std::vector<std::vector<std::string>> contents;
  for (const std::string& text : texts) contents.push_back(content_words(text, shipped_forms()));
  const auto of_a = content_words(a, shipped_forms()), of_b = content_words(b, shipped_forms());
  words.insert(of_a.begin(), of_a.end());
  words.insert(of_b.begin(), of_b.end());
  double dot = 0, square_a = 0, square_b = 0;
  for (const std::string& word : words) {
    double with_word = 0;
    for (const auto& content : contents) {
      with_word += std::count(content.begin(), content.end(), word) > 0;
    }
    const double idf = 1 + std::log(static_cast<double>(texts.size()) / std::max(with_word, 1.0));
    const double x = idf * static_cast<double>(std::count(of_a.begin(), of_a.end(), word));
    const double y = idf * static_cast<double>(std::count(of_b.begin(), of_b.end(), word));
    dot += x * y;
    square_a += x * x;
    square_b += y * y;
  }
  return dot == 0 ? 0 : dot / std::sqrt(square_a * square_b);
}

TEST(WordIndex, FindsTheNearestByTheDefinition) {
  const std::vector<std::string> vocabulary = {"engine", "headlight", "fuel",  "battery", "screen",
                                               "noise",  "smoke",     "fever", "cough",   "pill"};
  Rng rng(3);
  const auto random_text = [&](size_t most) {
    std::string text;
    for (size_t i = 0, n = 1 + rng.below(most); i < n; ++i) text += rng.pick(vocabulary) + " ";
    return text;
  };
  std::vector<std::string> texts(60);
  for (auto& text : texts) text = random_text(6);
  const WordIndex index(texts, shipped_forms());
  for (int round = 0; round < 200; ++round) {
    const std::string asked = random_text(5) + (round % 3 == 0 ? "unheard" : "");
    const auto found = index.nearest(asked, [&](size_t i) { return i % 4 != 1; });
    double best = 0;
    for (size_t i = 0; i < texts.size(); ++i) {
      if (i % 4 != 1) best = std::max(best, literal_cosine(texts, asked, texts[i]));
    }
    ASSERT_EQ(found.has_value(), best > 0) << asked;
    if (!found) continue;
    EXPECT_NE(found->text % 4, 1u);
    EXPECT_NEAR(found->cosine, best, 1e-12);
    EXPECT_NEAR(literal_cosine(texts, asked, texts[found->text]), best, 1e-12);
  }
}

TEST(WordIndex, OfEqualsTheFirst) {
  const std::vector<std::string> texts = {"fuel", "engine noise", "engine noise"};
  EXPECT_EQ(WordIndex(texts, shipped_forms()).nearest("noise of the engine", any_text)->text, 1u);
}

TEST(WordIndex, WhatSharesNoWordIsNotNear) {
  const std::vector<std::string> texts = {"engine noise", "the"};
  const WordIndex index(texts, shipped_forms());
  EXPECT_FALSE(index.nearest("fever", any_text));
  EXPECT_FALSE(index.nearest("", any_text));
  EXPECT_FALSE(index.nearest("engine", [](size_t i) { return i > 0; }));
  EXPECT_FALSE(WordIndex({}, shipped_forms()).nearest("engine", any_text));
}

}  // namespace
}  // namespace l2a
