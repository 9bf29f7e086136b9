#include "calibrate/gold_overrides.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "calibrate/testing.h"
#include "hindsight/testing.h"

namespace l2a {
namespace {

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
  EXPECT_EQ(found.lines[0], parsed(R"({"session": "s", "turn": 1, "by": "anna", "wanted": [
      {"question": "How old are you?", "fact": "34"}, {"question": "Any?", "fact": "No fever"},
      {"question": "Any fever?", "fact": "since Monday"}]})"));
}

TEST(GoldOverrides, WhatIsMissingAfterNoQuestionHasAllThatTheExpertSaid) {
  CalibrationItem item = extract_item("e", {});
  item.future[0] = expert_says("Go on.");
  GoldLabel label = judged("e", "anna", {});
  label.missing = {"34"};
  label.missing_said = {said_at(item, "34")};
  EXPECT_EQ(overrides_of({item}, {label}).lines.at(0)["wanted"],
            parsed(R"([{"question": "Go on.", "fact": "34"}])"));
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
            parsed(R"({"session": "t", "turn": 1, "by": "anna", "decision": "continue"})"));
  EXPECT_EQ(agreed.disputed, 0u);
}

TEST(GoldOverrides, ATurnHasOneLine) {
  const auto found =
      overrides_of({extract_item("e", {"34"}), stop_item("s", Decision::kStop)},
                   {judged("e", "anna", {true}), decided("s", "ben", Decision::kContinue)});
  ASSERT_THAT(found.lines, SizeIs(1));
  EXPECT_EQ(found.lines[0]["decision"], "continue");
  EXPECT_THAT(found.lines[0]["wanted"], SizeIs(1));
  EXPECT_EQ(found.lines[0]["by"], "anna; ben");
}

TEST(GoldOverrides, LabelsEndWherePeopleStop) {
  CalibrationItem late = extract_item("late", {"34"}, "s/3");
  late.context = {user_says("I cough."), expert_says("Since when?"), user_says("Today.")};
  late.claims[0].said = said_at(late, "34");
  const auto found =
      overrides_of({late, stop_item("s", Decision::kStop)},
                   {judged("late", "anna", {true}), decided("s", "anna", Decision::kStop)});
  ASSERT_THAT(found.lines, SizeIs(1));
  EXPECT_EQ(found.lines[0]["turn"], 1);
  EXPECT_EQ(found.past_stop, 1u);
}

}  // namespace
}  // namespace l2a
