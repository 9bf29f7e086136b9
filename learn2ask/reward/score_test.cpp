#include "reward/score.h"

#include <cmath>

#include <gtest/gtest.h>

#include "hindsight/testing.h"
#include "reward/testing.h"

namespace l2a {
namespace {

// Turns: 0 user, 1 expert asks (continue), 2 user, 3 expert stops.
LabelledSession labelled() {
  return label_by_rules({"u: My head hurts.", "a: Since when?", "u: For three days.",
                         "a[stop]: Take this and rest."});
}

class Score : public testing::Test {
 protected:
  const Sample& continue_sample() { return session_.samples.front(); }
  const Sample& stop_sample() { return session_.samples.back(); }
  ScoredReply score(const Sample& sample, const std::string& text, ScoringOptions options = {},
                    bool truncated = false) {
    const ScoreRequest request{&session_, &sample, {text, truncated}};
    return score_replies({&request, 1}, grader_, shipped_forms(), options)[0];
  }
  void expect_parts(const ScoredReply& scored, double macro, double micro, double format) {
    ASSERT_TRUE(scored.parts && scored.reward) << scored.reason;
    EXPECT_EQ(scored.parts->macro, macro);
    EXPECT_EQ(scored.parts->micro, micro);
    EXPECT_EQ(scored.parts->format, format);
  }
  LabelledSession session_ = labelled();
  FakeGrader grader_{0.5};
};

TEST_F(Score, TheSessionHasAContinueAndAStopSample) {
  ASSERT_EQ(session_.samples.size(), 2u);
  ASSERT_EQ(continue_sample().decision->value, Decision::kContinue);
  ASSERT_EQ(continue_sample().wanted->size(), 1u);
  ASSERT_EQ(stop_sample().decision->value, Decision::kStop);
}

TEST_F(Score, ARightStopGetsTheFullRewardWithoutTheGrader) {
  for (const char* text : {"<stop />", "  <stop />\n"}) {
    const auto scored = score(stop_sample(), text);
    expect_parts(scored, 1, 1, 1);
    EXPECT_EQ(*scored.reward, 4);
    EXPECT_TRUE(scored.decided_right);
    EXPECT_EQ(scored.questions, 0u);
  }
  EXPECT_TRUE(grader_.asked.empty());
}

TEST_F(Score, ARightContinueGetsTheGradersVerdictAndTheFormatOfItsQuestions) {
  const struct {
    const char* text;
    size_t questions;
    double format;
  } cases[] = {
      {"Since when does it hurt?", 1, 1},
      {"Please tell me since when it hurts.", 1, 1},
      {"I see. Since when does it hurt?", 1, 1},
      {"Since when does it hurt? Do you have a fever?", 2, 0.5},
      {"Since when? Do you have a fever? How old are you?", 3, 0},
  };
  for (const auto& c : cases) {
    const auto scored = score(continue_sample(), c.text);
    EXPECT_EQ(scored.questions, c.questions) << c.text;
    expect_parts(scored, 1, 0.5, c.format);
    EXPECT_EQ(*scored.reward, 1 + 2 * 0.5 + c.format);
    EXPECT_EQ(scored.reason, "fake");
    EXPECT_EQ(grader_.asked.back(), "s/1 " + std::string(c.text));
  }
}

TEST_F(Score, AContinueWithoutAQuestionNeverReachesTheGrader) {
  for (const char* text : {"Take two of these a day.", "fever, cough, age", "I see."}) {
    const auto scored = score(continue_sample(), text);
    expect_parts(scored, 1, 0, 0);
    EXPECT_EQ(*scored.reward, 1);
    EXPECT_EQ(scored.reason, "asks nothing");
  }
  EXPECT_TRUE(grader_.asked.empty());
}

TEST_F(Score, AWrongDecisionGetsNothingUnderEveryFusion) {
  for (const Fusion fusion :
       {Fusion::kProduct, Fusion::kSum, Fusion::kMacroOnly, Fusion::kMicroOnly}) {
    const auto stopped = score(continue_sample(), "<stop />", {.fusion = fusion});
    expect_parts(stopped, 0, 0, 0);
    EXPECT_EQ(*stopped.reward, 0);
    EXPECT_EQ(stopped.reason, "wrong decision: the expert's was to continue");
    const auto asked = score(stop_sample(), "Since when?", {.fusion = fusion});
    expect_parts(asked, 0, 0, 0);
    EXPECT_EQ(*asked.reward, 0);
    EXPECT_EQ(asked.questions, 1u);
    EXPECT_FALSE(asked.decided_right);
  }
  EXPECT_TRUE(grader_.asked.empty());
}

TEST_F(Score, AMalformedReplyGetsNothingWhateverTheTruth) {
  const struct {
    ReplyFormat format;
    const char* text;
    bool truncated;
  } cases[] = {
      {ReplyFormat::kPlain, "", false},
      {ReplyFormat::kPlain, " \n ", false},
      {ReplyFormat::kPlain, "Thanks! <stop />", false},
      {ReplyFormat::kPlain, "<stop /><stop />", false},
      {ReplyFormat::kPlain, "Since when?", true},
      {ReplyFormat::kPlain, "<stop />", true},
      {ReplyFormat::kPlain, "Since when\xC3?", false},
      {ReplyFormat::kTuple, "Since when?", false},
      {ReplyFormat::kTuple, "<stop />", false},
      {ReplyFormat::kTuple, R"({"state":"continue"})", false},
      {ReplyFormat::kTuple, R"({"state":"continue","ask":" "})", false},
      {ReplyFormat::kTuple, R"({"state":"stop","ask":"Since when?"})", false},
      {ReplyFormat::kTuple, R"({"state":"stop"} .)", false},
      {ReplyFormat::kTuple, R"({"state":"continue","ask":"Since)", false},
  };
  for (const auto& c : cases) {
    for (const Sample* sample : {&continue_sample(), &stop_sample()}) {
      const auto scored = score(*sample, c.text, {.format = c.format}, c.truncated);
      EXPECT_FALSE(scored.action) << c.text;
      EXPECT_FALSE(scored.decided_right);
      expect_parts(scored, 0, 0, 0);
      EXPECT_EQ(*scored.reward, 0);
      EXPECT_TRUE(scored.reason.starts_with("reply: malformed: ")) << scored.reason;
    }
  }
  EXPECT_TRUE(grader_.asked.empty());
}

TEST_F(Score, ReadsTheTupleFormat) {
  const ScoringOptions tuple{.format = ReplyFormat::kTuple};
  expect_parts(score(stop_sample(), R"({"state":"stop"})", tuple), 1, 1, 1);
  expect_parts(score(continue_sample(), R"({"state":"continue","ask":"Since when?"})", tuple), 1,
               0.5, 1);
  EXPECT_EQ(grader_.asked.back(), "s/1 Since when?");
}

TEST_F(Score, AFailedGradeIsNeverANumber) {
  for (size_t n = 0; n < 4; ++n) {
    FakeGrader grader(1, [n](size_t call) { return call == n; });
    const std::vector<ScoreRequest> requests(
        4, ScoreRequest{&session_, &continue_sample(), {"Since when?", false}});
    const auto scored = score_replies(requests, grader, shipped_forms(), {});
    for (size_t i = 0; i < scored.size(); ++i) {
      EXPECT_EQ(scored[i].reward.has_value(), i != n);
      EXPECT_EQ(scored[i].parts.has_value(), i != n);
      EXPECT_TRUE(scored[i].action);
      EXPECT_TRUE(scored[i].decided_right);
    }
    EXPECT_EQ(scored[n].reason, "unscored: fake grader: down");
  }
}

TEST_F(Score, RepliesToAnUnlabelledSampleAreUnscoredWhateverTheySay) {
  session_.samples.front().wanted.reset();
  for (const char* text : {"Since when?", "<stop />", "", "I see."}) {
    const auto scored = score(continue_sample(), text);
    EXPECT_FALSE(scored.reward) << text;
    EXPECT_FALSE(scored.parts);
    EXPECT_EQ(scored.reason, "unlabelled: extraction failed for this sample");
  }
  EXPECT_TRUE(grader_.asked.empty());
}

TEST_F(Score, AnEmptyTargetIsNotAnUnlabelledOne) {
  session_.samples.front().wanted->clear();
  expect_parts(score(continue_sample(), "Since when?"), 1, 0.5, 1);
}

TEST_F(Score, KeepsTheOrderAndGradesAllInOneBatch) {
  const std::vector<std::string> texts = {"Since when?", "<stop />", "How old are you?", "I see."};
  std::vector<ScoreRequest> requests;
  for (const auto& text : texts) requests.push_back({&session_, &continue_sample(), {text, false}});
  const auto scored = score_replies(requests, grader_, shipped_forms(), {});
  EXPECT_EQ(*scored[0].reward, 3);
  EXPECT_EQ(*scored[1].reward, 0);
  EXPECT_EQ(*scored[2].reward, 3);
  EXPECT_EQ(*scored[3].reward, 1);
  EXPECT_EQ(grader_.asked, (std::vector<std::string>{"s/1 Since when?", "s/1 How old are you?"}));
}

// The published code: any `<stop />` is a stop, and its format counts only when byte-exact.
TEST_F(Score, CompatReadsStopsAsThePublishedCodeDoes) {
  const ScoringOptions compat{.compat = true};
  expect_parts(score(stop_sample(), "<stop />", compat), 1, 1, 1);
  expect_parts(score(stop_sample(), "<stop />\n", compat), 1, 1, 0);
  const auto mixed = score(stop_sample(), "Since when? <stop />", compat);
  expect_parts(mixed, 1, 1, 0);
  EXPECT_EQ(*mixed.reward, 3);
  expect_parts(score(continue_sample(), "Since when? <stop />", compat), 0, 0, 0);
  expect_parts(score(continue_sample(), "", compat), 1, 0, 0);
  expect_parts(score(continue_sample(), "Since when?", compat, /*truncated=*/true), 1, 0.5, 1);
  EXPECT_EQ(score(continue_sample(), "\xFF", compat).reason,
            "reply: malformed: byte 1: invalid UTF-8");
}

}  // namespace
}  // namespace l2a
