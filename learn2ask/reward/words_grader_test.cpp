#include "reward/words_grader.h"

#include <algorithm>

#include <gtest/gtest.h>

#include "hindsight/reply.h"
#include "hindsight/testing.h"
#include "reward/testing.h"

namespace l2a {
namespace {

std::vector<std::string> distinct_words(const std::string& text) {
  std::vector<std::string> distinct;
  for (const auto& word : content_words(text, shipped_forms())) {
    if (std::count(distinct.begin(), distinct.end(), word) == 0) distinct.push_back(word);
  }
  return distinct;
}

double brute_force(const std::string& a, const std::string& b) {
  const auto words_a = distinct_words(a), words_b = distinct_words(b);
  int shared = 0;
  for (const auto& x : words_a) {
    for (const auto& y : words_b) shared += x == y;
  }
  const size_t total = words_a.size() + words_b.size();
  return words_a.empty() || words_b.empty() ? 0 : 2.0 * shared / static_cast<double>(total);
}

std::string random_question(Rng& rng) {
  static const std::vector<std::string> kWords = {"does",   "the",  "battery", "Battery",
                                                  "charge", "you",  "fuse",    "blown",
                                                  "when",   "发烧", "lamp"};
  std::string text;
  for (size_t i = rng.below(9); i > 0; --i) text += rng.pick(kWords) + " ";
  return text + "?";
}

TEST(WordOverlap, EqualsBruteForceAndIsSymmetricOnRandomTexts) {
  Rng rng(3);
  for (int i = 0; i < 2000; ++i) {
    const std::string a = random_question(rng), b = random_question(rng);
    const double overlap = word_overlap(a, b, shipped_forms());
    EXPECT_DOUBLE_EQ(overlap, brute_force(a, b)) << a << " | " << b;
    EXPECT_EQ(overlap, word_overlap(b, a, shipped_forms()));
    EXPECT_GE(overlap, 0);
    EXPECT_LE(overlap, 1);
    if (!distinct_words(a).empty()) {
      EXPECT_EQ(word_overlap(a, a, shipped_forms()), 1);
    }
  }
}

TEST(WordsGrader, GradesByTheWordsInCommon) {
  GraderThresholds thresholds;
  thresholds.words = {.same = 0.6, .near = 0.3};
  WordsGrader grader(shipped_forms(), thresholds);
  EXPECT_EQ(grader.name(), "words (same 0.6, near 0.3)");
  const auto turns = turns_of(
      session_of({"u: My laptop is dead.", "a: Is the charger plugged in?", "u: Yes, it is."}));
  const std::vector<Item> wanted = {item_of("Does the battery charge?", "It stays empty.")};
  const struct {
    const char* question;
    double content;
  } cases[] = {
      {"Does your battery charge?", 1},
      {"Is the battery swollen?", 0.5},
      {"Is the charger plugged in?", 0},
      {"Have you had a coffee today?", 0},
      {"battery, charge, lamp?", 0},
      {"My laptop is dead?", 0},
      {"", 0},
  };
  for (const auto& c : cases) {
    const GradeRequest request{"s/3", turns, wanted, c.question};
    const auto graded = grader.grade({&request, 1})[0];
    ASSERT_TRUE(graded);
    EXPECT_EQ(graded->content, c.content) << c.question << ": " << graded->reason;
  }
}

}  // namespace
}  // namespace l2a
