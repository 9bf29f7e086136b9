#include "reward/match_grader.h"

#include <gtest/gtest.h>

#include "hindsight/testing.h"
#include "reward/testing.h"

namespace l2a {
namespace {

GraderThresholds thresholds() {
  GraderThresholds t;
  t.languages = {"English"};
  t.match = {.same = 0.8, .near = 0.5};
  return t;
}

class Match : public testing::Test {
 protected:
  Result<Grade> grade(const std::string& question, MatchOptions options = {}) {
    MatchGrader grader(encoder_, shipped_forms(), thresholds(), options);
    const GradeRequest request{"s/3", turns_, wanted_, question};
    return grader.grade({&request, 1})[0];
  }
  WordBagEncoder encoder_;
  std::vector<Turn> turns_ =
      turns_of(session_of({"u: My car makes a strange clicking noise in the morning.",
                           "a: Is the battery old?", "u: It is five years old."}));
  std::vector<Item> wanted_ = {item_of("Does the engine turn over?", "It does not."),
                               item_of("Are the lights dim?", "They are fine.")};
};

TEST_F(Match, GradesWhatIsOpenAndIsNotFooled) {
  const struct {
    const char* question;
    double content;
    const char* why;
  } cases[] = {
      {"Does the engine turn over?", 1, "the expert's own question"},
      {"Are the lights dim now?", 1, "nearly the same words"},
      {"Does the engine sound odd?", 0.5, "in the direction of one"},
      {"Is the battery old?", 0, "repeats a question that was answered"},
      {"Is the battery an old one?", 0, "nearer to what is known"},
      {"What is your name?", 0, "irrelevant"},
      {"", 0, "empty"},
      {"Does the engine turn over", 1, "a question form needs no mark"},
      {"Engine, lights, battery, fuse?", 0, "a list of keywords"},
      {"engine turn over lights dim", 0, "keywords that ask nothing"},
      {"My car makes a strange clicking noise in the morning?", 0, "the user's words"},
      {"Does the engine turn over? What is your name?", 0.5, "one of two hits"},
      {"Does the engine turn over? What is your name? Where do you live?", 0, "one of three hits"},
      {"Does the engine turn over? Are the lights dim?", 1, "both hit"},
  };
  for (const auto& c : cases) {
    const auto graded = grade(c.question);
    ASSERT_TRUE(graded) << c.question;
    EXPECT_EQ(graded->content, c.content) << c.question << ": " << c.why << ": " << graded->reason;
  }
}

TEST_F(Match, RefusesOtherScriptsUnlessAllowed) {
  const auto refused = grade("发烧几天了？");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kUnsupported);
  EXPECT_EQ(refused.error().message,
            "match grader: s/3: mostly not in Latin script, and its thresholds were fitted on "
            "English (grader llm reads any script)");
  EXPECT_TRUE(grade("发烧几天了？", {.any_script = true}));
  wanted_ = {item_of("发烧几天了？", "三天")};
  EXPECT_FALSE(grade("Does the engine turn over?"));
  EXPECT_EQ(grade("发烧几天了？", {.any_script = true})->content, 1);
}

TEST_F(Match, ABatchGivesWhatSingleRequestsGive) {
  std::vector<GradeRequest> requests;
  const std::vector<std::string> questions = {"Does the engine turn over?", "发烧几天了？", "",
                                              "Is the battery old?", "Are the lights dim now?"};
  for (size_t i = 0; i < 700; ++i) {
    requests.push_back({"s/3", turns_, wanted_, questions[i % questions.size()]});
  }
  MatchGrader grader(encoder_, shipped_forms(), thresholds(), {});
  const auto grades = grader.grade(requests);
  ASSERT_EQ(grades.size(), requests.size());
  for (size_t i = 0; i < requests.size(); ++i) {
    const auto alone = grade(requests[i].question);
    ASSERT_EQ(static_cast<bool>(grades[i]), static_cast<bool>(alone));
    if (alone) {
      EXPECT_EQ(grades[i]->content, alone->content);
    }
  }
}

TEST_F(Match, EncodesARepeatedTextOnce) {
  MatchGrader grader(encoder_, shipped_forms(), thresholds(), {});
  for (int round = 0; round < 3; ++round) {
    const std::vector<GradeRequest> requests(
        8, GradeRequest{"s/3", turns_, wanted_, "Does the engine turn over?"});
    for (const auto& graded : grader.grade(requests)) EXPECT_TRUE(graded);
  }
  auto distinct = encoder_.encoded;
  std::sort(distinct.begin(), distinct.end());
  EXPECT_EQ(std::adjacent_find(distinct.begin(), distinct.end()), distinct.end());
}

TEST_F(Match, AnEmptyTargetIsReachedByNoQuestion) {
  wanted_.clear();
  EXPECT_EQ(grade("Does the engine turn over?")->content, 0);
}

TEST_F(Match, NamesItsThresholdsAndLanguages) {
  EXPECT_EQ(MatchGrader(encoder_, shipped_forms(), thresholds(), {}).name(),
            "match (same 0.8, near 0.5, fitted on English)");
}

TEST(CachedEncoder, GivesTheEncodersVectorsAndKeepsTheTextsUsedLast) {
  WordBagEncoder encoder, reference;
  CachedEncoder cached(encoder, 3);
  const auto same = [&](const std::vector<std::string>& texts) {
    return cached.encode(texts) == reference.encode(texts);
  };
  EXPECT_TRUE(same({"a", "b", "a"}));
  EXPECT_TRUE(same({"c"}));
  EXPECT_TRUE(same({"a"}));
  EXPECT_EQ(encoder.encoded, (std::vector<std::string>{"a", "b", "c"}));
  EXPECT_TRUE(same({"d"}));  // b was used longest ago
  EXPECT_TRUE(same({"a", "c", "d"}));
  EXPECT_EQ(encoder.encoded.size(), 4u);
  EXPECT_TRUE(same({"b"}));
  EXPECT_EQ(encoder.encoded.size(), 5u);
  EXPECT_TRUE(same({"e", "f", "g", "h", "i", "b"}));  // more than it keeps
  EXPECT_TRUE(same({}));
}

}  // namespace
}  // namespace l2a
