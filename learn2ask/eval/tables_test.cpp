#include "eval/tables.h"

#include <sstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "eval/testing.h"

namespace l2a {
namespace {

using ::testing::Each;
using ::testing::HasSubstr;
using ::testing::Not;

Estimate exactly(double value) { return {value, value - 0.05, value + 0.05, 10}; }

Summary summary(const std::string& policy, PolicyRole role, double value) {
  Summary row;
  row.facts.policy = policy;
  row.facts.role = role;
  row.facts.grader = "match 1";
  row.facts.split = "test";
  row.metrics.fill(exactly(value));
  row.counts = {.sessions = 50, .replies = 300, .continue_rows = 250, .stop_rows = 50};
  return row;
}

std::vector<Summary> some_summaries() {
  auto rows = std::vector{
      summary("always stop", PolicyRole::kBaseline, 0.9), summary("base", PolicyRole::kModel, 0.2),
      summary("GRPO", PolicyRole::kModel, 0.7), summary("expert", PolicyRole::kExpert, 1)};
  rows[1].facts.prompts = rows[2].facts.prompts = {{"policy.txt", "0123456789abcdef"}};
  rows[2].facts.prompts.emplace_back("other.txt", "fedcba9876543210");
  return rows;
}

std::vector<std::string> lines(const std::string& text) {
  std::vector<std::string> out;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) out.push_back(line);
  return out;
}

TEST(TableGroup, TheBestIsTheBestModelInTheMetricsOwnDirection) {
  const auto rows = some_summaries();
  const auto groups = group_summaries(rows);
  ASSERT_EQ(groups.size(), 1u);
  EXPECT_TRUE(groups[0].is_best(rows[2], Metric::kReward));
  EXPECT_FALSE(groups[0].is_best(rows[1], Metric::kReward));
  EXPECT_FALSE(groups[0].is_best(rows[0], Metric::kReward));
  EXPECT_FALSE(groups[0].is_best(rows[3], Metric::kReward));
  EXPECT_TRUE(groups[0].is_best(rows[1], Metric::kMalformed));
  EXPECT_FALSE(groups[0].is_best(rows[2], Metric::kQuestionsPerSession));
}

TEST(TableGroup, ModelsThatPrintTheSameAreBothTheBest) {
  auto rows = some_summaries();
  rows[1].metrics.fill(exactly(0.70004));
  rows.push_back(summary("SFT", PolicyRole::kModel, 0.5));
  const auto groups = group_summaries(rows);
  EXPECT_TRUE(groups[0].is_best(rows[1], Metric::kReward));
  EXPECT_TRUE(groups[0].is_best(rows[2], Metric::kReward));
}

TEST(TableGroup, NoneIsTheBestWhereAllModelsAreAlike) {
  auto rows = some_summaries();
  rows[1].metrics = rows[2].metrics;
  const auto groups = group_summaries(rows);
  EXPECT_FALSE(groups[0].is_best(rows[2], Metric::kReward));
}

TEST(GroupSummaries, KeepsNumbersApartThatWereMeasuredDifferently) {
  auto rows = some_summaries();
  rows[0].facts.grader = "words 1";
  rows[1].facts.split = "dev";
  rows[2].facts.decoding.temperature = 1;
  rows[3].facts.scoring.fusion = Fusion::kSum;
  EXPECT_EQ(group_summaries(rows).size(), 4u);
}

TEST(GroupSummaries, CaptionNamesGraderSplitDecodingScoringAndPrompts) {
  const auto rows = some_summaries();
  EXPECT_EQ(group_summaries(rows)[0].caption,
            "Grader: match 1. Split: test (50 sessions, 300 replies: 250 continue (of which inform "
            "0, nothing left to ask 0), 50 stop; left out: 0 unlabelled, 0 censored). Decoding: "
            "greedy, 1 reply a context, at most 64 tokens, seed 1. Scoring: plain replies, product "
            "reward (at most 4). Prompts: other.txt fedcba987654 (GRPO); policy.txt 0123456789ab "
            "(base, GRPO). Intervals: 95%, bootstrap by session.");
}

TEST(GroupSummaries, NotesSayWhatTheExpertsRowIsAndWhatWasNotRecognised) {
  auto rows = some_summaries();
  const auto people = group_summaries(rows)[0].notes;
  ASSERT_EQ(people.size(), 1u);
  EXPECT_THAT(people[0], HasSubstr("graded against its own future"));

  for (Summary& row : rows) row.facts.grader = "truth:pharmacy";
  rows[1].counts.unrecognised = 5;
  rows[2].counts.unrecognised = 2;
  rows[2].counts.cut_contexts = 3;
  const auto truth = group_summaries(rows)[0].notes;
  ASSERT_EQ(truth.size(), 3u);
  EXPECT_THAT(truth[0], HasSubstr("against the known truth"));
  EXPECT_THAT(truth[1], HasSubstr("what they ask for: base 5, GRPO 2."));
  EXPECT_THAT(truth[2], HasSubstr("without its oldest turns, more than the policy holds: GRPO 3."));
  for (const std::string& text : {tables_to_text(rows), tables_to_markdown(rows)}) {
    EXPECT_THAT(text, HasSubstr("they are the labels"));
    EXPECT_THAT(text, HasSubstr("base 5, GRPO 2."));
  }

  rows.pop_back();  // the expert
  for (Summary& row : rows) row.counts.unrecognised = row.counts.cut_contexts = 0;
  EXPECT_TRUE(group_summaries(rows)[0].notes.empty());
}

TEST(GroupSummaries, NotesSayWhichPoliciesTheGraderHasTrained) {
  auto rows = some_summaries();
  rows[2].facts.trained_by = "words";
  EXPECT_EQ(group_summaries(rows)[0].notes.size(), 1u);
  rows[2].facts.trained_by = "match";
  const auto notes = group_summaries(rows)[0].notes;
  ASSERT_EQ(notes.size(), 2u);
  EXPECT_EQ(notes[1],
            "This grader rewarded the training of GRPO: what was learned is shown by one that did "
            "not.");
}

TEST(TablesToText, FitsATerminalAndMarksTheBest) {
  const std::string text = tables_to_text(some_summaries());
  for (const std::string& line : lines(text)) EXPECT_LE(line.size(), 120u) << line;
  EXPECT_THAT(text, HasSubstr("GRPO                     0.700*     0.700*"));
  EXPECT_THAT(text, HasSubstr("0.65-0.75"));
  EXPECT_THAT(text, HasSubstr("right by construction"));
}

TEST(TablesToText, ShowsAnUndefinedMetricAsADash) {
  auto rows = some_summaries();
  rows[0].metrics.fill(std::nullopt);
  EXPECT_THAT(lines(tables_to_text(rows))[1],
              HasSubstr("always stop                  -          -"));
}

TEST(TablesToText, NamesFromDataDoNotReachTheTerminalRaw) {
  auto rows = some_summaries();
  rows[1].facts.policy = "\x1b[31mred\x07";
  rows[1].facts.grader = "\x1b]0;title";
  EXPECT_THAT(tables_to_text(rows), Not(HasSubstr("\x1b")));
}

TEST(TablesToMarkdown, HasOneCellAMetricAndEscapesNames) {
  auto rows = some_summaries();
  rows[1].facts.policy = "a|b *c* <i>";
  const auto all = lines(tables_to_markdown(rows));
  const size_t columns = 2 + headline_metrics().size();
  for (size_t i = 0; i < 6; ++i) {
    const auto bars = std::count(all[i].begin(), all[i].end(), '|');
    EXPECT_EQ(static_cast<size_t>(bars) - (all[i].find("\\|") != std::string::npos), columns);
  }
  EXPECT_THAT(all[3], HasSubstr("a\\|b \\*c\\* \\<i\\>"));
  EXPECT_THAT(all[4], HasSubstr("**0.700** [0.65-0.75]"));
}

TEST(TablesToJson, KeepsEveryMetricWithItsIntervalAndNullWhereUndefined) {
  auto rows = some_summaries();
  rows[0].metrics[0].reset();
  const Json json = tables_to_json(rows);
  ASSERT_EQ(json.size(), 4u);
  EXPECT_TRUE(json[0]["metrics"]["wa"].is_null());
  EXPECT_EQ(json[2]["metrics"].size(), kMetricCount);
  EXPECT_EQ(json[2]["metrics"]["wa"]["low"], exactly(0.7).low);
  EXPECT_EQ(json[2]["evaluation"]["prompts"]["policy.txt"], "0123456789abcdef");
  EXPECT_EQ(json[2]["counts"]["stop"], 50);
}

TEST(ComparisonText, SaysTheDifferenceWithItsSigns) {
  EXPECT_EQ(comparison_text({.metric = Metric::kReward,
                             .a = 2.91,
                             .b = 2.6,
                             .difference = 0.31,
                             .low = -0.02,
                             .high = 0.4,
                             .share_above_zero = 0.9711},
                            "GRPO", "SFT"),
            "Reward: GRPO 2.910, SFT 2.600, difference +0.310 [-0.020, +0.400], above 0 in 97.1% "
            "of resamples");
}

}  // namespace
}  // namespace l2a
