#include "hindsight/quotation.h"

#include <algorithm>
#include <string>

#include <gtest/gtest.h>

#include "base/rng.h"
#include "base/utf8.h"

namespace l2a {
namespace {

std::string found(const std::string& text, const std::string& quotation) {
  const auto range = find_quotation(text, quotation);
  return range ? text.substr(range->begin, range->end - range->begin) : "(none)";
}

TEST(FindQuotation, FindsTheWordsWhateverStandsBetweenThem) {
  EXPECT_EQ(found("Since Monday, I think.", "since monday"), "Since Monday");
  EXPECT_EQ(found("It's 38.5 °C - in the evening!", "its 38.5"), "(none)");
  EXPECT_EQ(found("It's 38.5 °C - in the evening!", "IT’S 38.5"), "It's 38.5");
  EXPECT_EQ(found("no , only\n  a cough", "\"No, only a cough.\""), "no , only\n  a cough");
  EXPECT_EQ(found("三天了，没有发烧。", "没有发烧"), "没有发烧");
  EXPECT_EQ(found("Groß, sehr groß", "GROSS"), "Groß");
}

TEST(FindQuotation, FindsWholeWordsOnly) {
  EXPECT_EQ(found("I start at nine", "art"), "(none)");
  EXPECT_EQ(found("I start art at nine", "art"), "art");
  EXPECT_EQ(found("it is 138.5", "38.5"), "(none)");
  EXPECT_EQ(found("thirty five", "thirtyfive"), "(none)");
}

TEST(FindQuotation, FindsNothingWhereThereIsNoWord) {
  EXPECT_EQ(found("Yes.", ""), "(none)");
  EXPECT_EQ(found("Yes.", " ... "), "(none)");
  EXPECT_EQ(found("", "yes"), "(none)");
  EXPECT_EQ(found("I have a cough", "I have a cough and a fever"), "(none)");
}

// Every run of words of a text is found, with its case and punctuation changed.
TEST(FindQuotation, FindsEveryRunOfWords) {
  const std::string text = "Well, it's been 3 days; my left knee (not the right) hurts - a lot!";
  const auto all = words(text);
  for (size_t first = 0; first < all.size(); ++first) {
    std::string quotation;
    for (size_t last = first; last < all.size(); ++last) {
      quotation += (last > first ? ", " : "") + all[last];
      const std::string out = found(text, quotation);
      EXPECT_EQ(words(out), words(quotation)) << quotation;
    }
  }
}

TEST(FindQuotation, NeverFindsWhatIsNotThere) {
  Rng rng(1);
  const std::string letters = "ab ,1";
  for (int i = 0; i < 20'000; ++i) {
    std::string text, quotation;
    for (size_t n = rng.below(12); n > 0; --n) text += letters[rng.below(letters.size())];
    for (size_t n = rng.below(5); n > 0; --n) quotation += letters[rng.below(letters.size())];
    // By brute force over the lists of words.
    const auto all = words(text), wanted = words(quotation);
    const bool there = !wanted.empty() && std::search(all.begin(), all.end(), wanted.begin(),
                                                      wanted.end()) != all.end();
    ASSERT_EQ(find_quotation(text, quotation).has_value(), there) << text << "|" << quotation;
  }
}

}  // namespace
}  // namespace l2a
