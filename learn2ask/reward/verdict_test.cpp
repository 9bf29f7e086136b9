#include "reward/verdict.h"

#include <map>

#include <gtest/gtest.h>

#include "hindsight/testing.h"
#include "reward/testing.h"

namespace l2a {
namespace {

constexpr SimilarityThresholds kThresholds{.same = 0.7, .near = 0.5};

// Similarities written down for pairs of texts; 0 for the others.
class Table {
 public:
  void set(const std::string& a, const std::string& b, double s) { table_[{a, b}] = s; }
  Similarity similarity() const {
    return [this](const std::string& a, const std::string& b) {
      const auto found = table_.find({a, b});
      return found == table_.end() ? 0.0 : found->second;
    };
  }

 private:
  std::map<std::pair<std::string, std::string>, double> table_;
};

double content_of(double open, std::optional<double> known) {
  Comparison compared{.questions = {"q"}, .flaws = {""}, .open = {"o"}, .known = {}};
  Table table;
  table.set("q", "o", open);
  if (known) {
    compared.known = {"k"};
    table.set("q", "k", *known);
  }
  return verdict(compared, kThresholds, table.similarity()).content;
}

TEST(Verdict, FollowsTheScaleOverAllSimilarities) {
  for (double open = -1; open <= 1; open += 0.01) {
    const double expected = open >= 0.7 ? 1 : open >= 0.5 ? 0.5 : 0;
    EXPECT_EQ(content_of(open, std::nullopt), expected) << open;
    for (double known = -1; known <= 1; known += 0.01) {
      EXPECT_EQ(content_of(open, known), known > open ? 0 : expected) << open << " " << known;
    }
  }
}

TEST(Verdict, TakesTheNearestOfTheItems) {
  const Comparison compared{
      .questions = {"q"}, .flaws = {""}, .open = {"a", "b", "c"}, .known = {}};
  Table table;
  table.set("q", "a", 0.1);
  table.set("q", "b", 0.9);
  table.set("q", "c", 0.6);
  const Grade grade = verdict(compared, kThresholds, table.similarity());
  EXPECT_EQ(grade.content, 1);
  EXPECT_EQ(grade.reason, "asks for 'b'");
}

TEST(Verdict, NothingToAskForIsNothing) {
  const Comparison compared{.questions = {"q"}, .flaws = {""}, .open = {}, .known = {}};
  EXPECT_EQ(verdict(compared, kThresholds, Table().similarity()).reason, "nothing was left to ask");
}

TEST(Combine, IsTheMeanRoundedDownToTheScale) {
  const struct {
    std::vector<double> contents;
    double expected;
  } cases[] = {
      {{}, 0},        {{1}, 1},         {{0.5}, 0.5},       {{0}, 0},
      {{1, 1}, 1},    {{1, 0.5}, 0.5},  {{1, 0}, 0.5},      {{0.5, 0}, 0},
      {{1, 0, 0}, 0}, {{1, 1, 0}, 0.5}, {{1, 1, 0.5}, 0.5}, {{1, 0, 0, 0, 0}, 0},
  };
  for (const auto& c : cases) {
    std::vector<Grade> grades;
    for (const double content : c.contents) grades.push_back({content, ""});
    EXPECT_EQ(combine(grades).content, c.expected) << testing::PrintToString(c.contents);
  }
}

// A question more never raises the expected content of guesses that hit with one probability.
TEST(Combine, StuffingGuessesNeverPays) {
  for (double hit = 0; hit <= 1; hit += 0.05) {
    for (size_t n = 1; n <= 8; ++n) {
      double expected = 0;
      for (size_t outcome = 0; outcome < (size_t{1} << n); ++outcome) {
        std::vector<Grade> grades;
        double probability = 1;
        for (size_t i = 0; i < n; ++i) {
          const bool right = (outcome >> i & 1) != 0;
          grades.push_back({right ? 1.0 : 0.0, ""});
          probability *= right ? hit : 1 - hit;
        }
        expected += probability * combine(grades).content;
      }
      EXPECT_LE(expected, hit + 1e-12) << n << " guesses";
    }
  }
}

class ComparisonOf : public testing::Test {
 protected:
  Comparison compare(const std::string& question) {
    const GradeRequest request{"s/4", turns_, wanted_, question};
    return comparison_of(request, shipped_forms());
  }
  std::vector<Turn> turns_ = turns_of(
      session_of({"u: I have had a bad cough since last Monday and it keeps me up at night.",
                  "a: Do you smoke?", "u: No, I never did.", "a: Let us see."}));
  std::vector<Item> wanted_ = {item_of("Do you have a fever?", "Yes, 39 degrees.")};
};

TEST_F(ComparisonOf, NamesWhatIsOpenAndWhatIsKnown) {
  const Comparison compared = compare("I see. Are you feverish?");
  EXPECT_EQ(compared.questions, (std::vector<std::string>{"Are you feverish?"}));
  EXPECT_EQ(compared.open, (std::vector<std::string>{"Do you have a fever?",
                                                     "Do you have a fever? Yes, 39 degrees."}));
  ASSERT_EQ(compared.known.size(), 2u);
  EXPECT_EQ(compared.known[0], "Do you smoke?");
}

TEST_F(ComparisonOf, FindsKeywordListsAndCopies) {
  const struct {
    const char* question;
    const char* flaw;
  } cases[] = {
      {"Fever, cough, age, allergies?", "a list of keywords"},
      {"fever / cough / weight?", "a list of keywords"},
      {"I have had a bad cough since last Monday?", "the user's own words"},
      {"Is it true that you have had a bad cough since last Monday and it keeps you up?", ""},
      {"And you had a bad cough since last Monday and it keeps me up at night?",
       "the user's own words"},
      {"Do you have a fever, a headache, or a rash?", ""},
      {"Any fever?", ""},
      {"Does the cough keep you up?", ""},
      {"How old are you?", ""},
  };
  for (const auto& c : cases) {
    const Comparison compared = compare(c.question);
    ASSERT_EQ(compared.questions.size(), 1u) << c.question;
    EXPECT_EQ(compared.flaws[0], c.flaw) << c.question;
  }
}

TEST_F(ComparisonOf, ReadsOnlyWhatAsks) {
  EXPECT_TRUE(compare("Fever, 39 degrees. Take this.").questions.empty());
  EXPECT_TRUE(compare("").questions.empty());
  EXPECT_EQ(compare("Do you have a fever? How old are you?").questions.size(), 2u);
}

}  // namespace
}  // namespace l2a
