#include "calibrate/gold_overrides.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "calibrate/testing.h"
#include "hindsight/testing.h"

namespace l2a {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

GoldLabels said_by_people(const std::vector<GoldLabel>& labels) {
  GoldLabels said;
  for (const GoldLabel& label : labels) said.put(label);
  return said;
}

GoldOverrides overrides_of(const std::vector<CalibrationItem>& items,
                           const std::vector<GoldLabel>& labels) {
  return gold_overrides(items, said_by_people(labels), shipped_forms());
}

TEST(GoldOverrides, AreTheRightClaimsAndWhatIsMissingInTheOrderOfTheirPlaces) {
  const CalibrationItem item = extract_item("e", {"No fever", "I smoke"});
  GoldLabel label = judged("e", "anna", {true, false});
  label.missing = {"since Monday", "34"};
  label.missing_said = {said_at(item, "since Monday"), said_at(item, "34")};
  const auto found = overrides_of({item}, {label});
  ASSERT_THAT(found.lines, SizeIs(1));
  EXPECT_EQ(found.lines[0], parsed(R"({"session": "s", "turn": 1, "wanted": [
      {"question": "How old are you?", "fact": "34", "answer_turn": 2},
      {"question": "Any?", "fact": "No fever", "answer_turn": 4},
      {"question": "Any fever?", "fact": "since Monday", "answer_turn": 4}], "by": "anna"})"));
}

TEST(GoldOverrides, WhatIsMissingAfterNoQuestionHasAllThatTheExpertSaid) {
  CalibrationItem item = extract_item("e", {});
  item.future[0] = expert_says("Go on.");
  GoldLabel label = judged("e", "anna", {});
  label.missing = {"34"};
  label.missing_said = {said_at(item, "34")};
  EXPECT_EQ(overrides_of({item}, {label}).lines.at(0)["wanted"],
            parsed(R"([{"question": "Go on.", "fact": "34", "answer_turn": 2}])"));
}

// Several questions are often answered by one sentence: their claims have one place.
TEST(GoldOverrides, ClaimsOfOnePlaceKeepTheirQuestions) {
  CalibrationItem item = extract_item("e", {"34", "34"});
  item.claims[0].question = "How old are you?";
  item.claims[1].question = "How tall are you?";
  const auto questions_of = [&](bool first, bool second) {
    std::vector<std::string> questions;
    const auto found = overrides_of({item}, {judged("e", "anna", {first, second})});
    for (const Json& one : found.lines.at(0)["wanted"]) questions.push_back(one["question"]);
    return questions;
  };
  EXPECT_THAT(questions_of(true, true), ElementsAre("How old are you?", "How tall are you?"));
  EXPECT_THAT(questions_of(false, true), ElementsAre("How tall are you?"));
  const auto differ =
      overrides_of({item}, {judged("e", "anna", {true, false}), judged("e", "ben", {false, true})});
  EXPECT_EQ(differ.disputed, 1u);
  GoldLabel renamed = judged("e", "anna", {false, false});  // the fact is right, its question not
  renamed.missing = {"34"};
  renamed.missing_said = {said_at(item, "34")};
  item.future[0] = expert_says("What year were you born in?");
  EXPECT_EQ(overrides_of({item}, {renamed}).lines.at(0)["wanted"][0]["question"],
            "What year were you born in?");
}

TEST(GoldOverrides, NothingThatIsRightIsACorrectionToo) {
  const auto found =
      overrides_of({extract_item("e", {"34"})}, {judged("e", "anna", {false})}).lines.at(0);
  EXPECT_EQ(found["wanted"], Json::array());
}

TEST(GoldOverrides, LeaveOutWhatIsDisputedAndWhatNobodyFinished) {
  const std::vector<CalibrationItem> items = {extract_item("e", {"34", "I smoke"}),
                                              stop_item("s", Decision::kStop, "t/1"),
                                              extract_item("half", {"34", "I smoke"}, "u/1")};
  const auto disputed = overrides_of(
      items, {judged("e", "anna", {true, true}), judged("e", "ben", {true, false}),
              decided("s", "anna", Decision::kStop), decided("s", "ben", Decision::kContinue),
              judged("half", "anna", {true, std::nullopt}), graded("e", "carl", 1)});
  EXPECT_THAT(disputed.lines, IsEmpty());
  EXPECT_EQ(disputed.disputed, 2u);
  const auto agreed = overrides_of(items, {judged("e", "anna", {true, false}),
                                           judged("e", "ben", {true, false}),
                                           decided("s", "anna", Decision::kContinue),
                                           {.item = "s", .by = "ben", .unsure = true}});
  ASSERT_THAT(agreed.lines, SizeIs(2));
  EXPECT_EQ(agreed.lines[0]["by"], "anna, ben");
  EXPECT_EQ(agreed.lines[1],
            parsed(R"({"session": "t", "turn": 1, "decision": "continue", "by": "anna"})"));
  EXPECT_EQ(agreed.disputed, 0u);
}

TEST(GoldOverrides, ATurnHasOneLine) {
  const auto found =
      overrides_of({extract_item("e", {"34"}), stop_item("s", Decision::kStop)},
                   {judged("e", "anna", {true}), decided("s", "ben", Decision::kContinue)});
  ASSERT_THAT(found.lines, SizeIs(1));
  EXPECT_EQ(found.lines[0]["decision"], "continue");
  EXPECT_THAT(found.lines[0]["wanted"], SizeIs(1));
  EXPECT_EQ(found.lines[0]["by"], "anna, ben");
}

TEST(GoldOverrides, TwoItemsOfATurnThatDifferAreDisputed) {
  const auto found = overrides_of({extract_item("e", {"34"}), extract_item("f", {"34", "I smoke"})},
                                  {judged("e", "anna", {true}), judged("f", "anna", {true, true})});
  EXPECT_THAT(found.lines, IsEmpty());
  EXPECT_EQ(found.disputed, 1u);
}

TEST(GoldOverrides, LabelsEndWherePeopleStop) {
  CalibrationItem late = extract_item("late", {"34"}, "s/3");
  late.context = {user_says("I cough."), expert_says("Since when?"), user_says("Today.")};
  late.claims[0].said = said_at(late, "34");
  const CalibrationItem early = extract_item("early", {"34", "since Monday"});
  CalibrationItem stop = stop_item("s", Decision::kContinue, "s/3");
  stop.context = early.context;
  stop.context.insert(stop.context.end(), early.future.begin(), early.future.begin() + 2);
  const std::vector<GoldLabel> claims = {judged("late", "anna", {true}),
                                         judged("early", "anna", {true, true})};
  const auto with_stop = [&](const CalibrationItem& item) {
    auto labels = claims;
    labels.push_back(decided(item.id, "anna", Decision::kStop));
    return overrides_of({late, early, item}, labels);
  };
  // At turn 3: what is said after it was not asked for any more, there and before.
  const auto at_three = with_stop(stop);
  ASSERT_THAT(at_three.lines, SizeIs(2));
  EXPECT_EQ(at_three.lines[0]["decision"], "stop");
  EXPECT_THAT(at_three.lines[0]["wanted"], IsEmpty());
  ASSERT_THAT(at_three.lines[1]["wanted"], SizeIs(1));
  EXPECT_EQ(at_three.lines[1]["wanted"][0]["fact"], "34");
  EXPECT_EQ(at_three.past_stop, 0u);
  const auto at_one = with_stop(stop_item("s", Decision::kContinue));
  ASSERT_THAT(at_one.lines, SizeIs(1));
  EXPECT_EQ(at_one.lines[0]["turn"], 1);
  EXPECT_THAT(at_one.lines[0]["wanted"], IsEmpty());
  EXPECT_EQ(at_one.past_stop, 1u);
}

}  // namespace
}  // namespace l2a
