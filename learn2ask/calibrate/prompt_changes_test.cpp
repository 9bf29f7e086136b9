#include "calibrate/prompt_changes.h"

#include <algorithm>
#include <span>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/rng.h"
#include "hindsight/sentence.h"

namespace l2a {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST(TakeBackOneChange, LeavesOutASentenceThatWasPutIn) {
  EXPECT_THAT(
      take_back_one_change("Be fair. Be strict. What is 3.5 worth?\n\n{open}\n",
                           "Be fair.\n\n{open}\n"),
      ElementsAre("Be fair. What is 3.5 worth?\n\n{open}\n", "Be fair. Be strict.\n\n{open}\n"));
  EXPECT_THAT(take_back_one_change("新的。旧的。新的？", "旧的。"),
              ElementsAre("旧的。新的？", "新的。旧的。"));
}

TEST(TakeBackOneChange, LeavesLinesAsTheyAre) {
  EXPECT_THAT(take_back_one_change("[system]\nNew. Old. Newer.", "[system]\nOld."),
              ElementsAre("[system]\nOld. Newer.", "[system]\nNew. Old."));
  EXPECT_THAT(take_back_one_change("- A.\n- New. But B.\n- Newer.\nC.", "- A.\nC."),
              ElementsAre("- A.\nBut B.\n- Newer.\nC.", "- A.\n- New.\n- Newer.\nC.",
                          "- A.\n- New. But B.\nC."));
  EXPECT_THAT(take_back_one_change("New. Old.\n\nNewer.\n", "Old.\n"),
              ElementsAre("Old.\n\nNewer.\n", "New. Old.\n"));
}

TEST(TakeBackOneChange, PutsBackWhatWasReplacedOrLeftOut) {
  EXPECT_THAT(
      take_back_one_change("One. Zwei. Drei. Four. Six. Seven.", "One. Two. Four.\nFive. Six."),
      ElementsAre("One. Two. Four. Six. Seven.", "One. Zwei. Drei. Four.\nFive. Six. Seven.",
                  "One. Zwei. Drei. Four. Six."));
  EXPECT_THAT(take_back_one_change("Two. Three. New.", "One.\nTwo. Three."),
              ElementsAre("One.\nTwo. Three. New.", "Two. Three."));
}

TEST(TakeBackOneChange, EndsAtTheOriginal) {
  EXPECT_THAT(take_back_one_change("Alles neu.\nAlles.", "All of it.\n"),
              ElementsAre("All of it.\n"));
  EXPECT_THAT(take_back_one_change("Same. New.", "Same.\n"), ElementsAre("Same.\n"));
  EXPECT_THAT(take_back_one_change("", "Old."), ElementsAre("Old."));
  EXPECT_THAT(take_back_one_change("New.", ""), ElementsAre(""));
  EXPECT_THAT(take_back_one_change("Same.", "Same."), IsEmpty());
  EXPECT_THAT(take_back_one_change("", ""), IsEmpty());
}

// Sentences that come again, in any order, on lines or behind one another.
std::string random_text(Rng& rng) {
  std::string text;
  for (size_t n = rng.below(9); n > 0; --n) {
    text += std::string(1, static_cast<char>('A' + rng.below(6))) + " word.";
    text += rng.chance(0.3) ? (rng.chance(0.5) ? "\n" : "\n\n") : " ";
  }
  return text;
}

std::vector<std::string> sentences_of(const std::string& text) {
  std::vector<std::string> sentences;
  for (const ByteRange& range : sentence_ranges(text)) {
    sentences.push_back(text.substr(range.begin, range.end - range.begin));
  }
  return sentences;
}

// How many sentences have to go or come, by trying.
size_t distance(std::span<const std::string> a, std::span<const std::string> b) {
  if (a.empty() || b.empty()) return a.size() + b.size();
  if (a[0] == b[0]) return distance(a.subspan(1), b.subspan(1));
  return 1 + std::min(distance(a.subspan(1), b), distance(a, b.subspan(1)));
}

TEST(TakeBackOneChange, ComesNearerToTheOriginalEachTime) {
  Rng rng(1);
  for (int trial = 0; trial < 300; ++trial) {
    const std::string original = random_text(rng);
    std::string prompt = random_text(rng);
    const auto goal = sentences_of(original);
    while (sentences_of(prompt) != goal) {
      const size_t far = distance(sentences_of(prompt), goal);
      const auto nearer = take_back_one_change(prompt, original);
      ASSERT_THAT(nearer, ::testing::Not(IsEmpty())) << prompt << "\nof\n" << original;
      for (const std::string& text : nearer) {
        ASSERT_LT(distance(sentences_of(text), goal), far) << text << "\nof\n" << original;
      }
      prompt = nearer[rng.below(nearer.size())];
    }
  }
}

TEST(TakeBackOneChange, LeavesVeryLongPromptsAlone) {
  std::string original;
  for (int i = 1; i < 1000; ++i) original += "Rule " + std::to_string(i) + "!\n";
  EXPECT_EQ(take_back_one_change(original + "New.", original).size(), 1u);
  EXPECT_TRUE(take_back_one_change(original + "New. Newer.", original).empty());
  EXPECT_TRUE(take_back_one_change(original, original + "Old. Older.").empty());
}

}  // namespace
}  // namespace l2a
