#include "eval/scored_row.h"

#include <filesystem>
#include <functional>

#include <gtest/gtest.h>

#include "base/file.h"
#include "eval/metrics.h"
#include "eval/testing.h"

namespace l2a {
namespace {

EvaluationFacts some_facts() {
  EvaluationFacts facts{
      .policy = "GRPO",
      .role = PolicyRole::kModel,
      .grader = "match 1",
      .split = "test",
      .prompts = {{"policy.txt", "00ff"}},
      .decoding = {.temperature = 1,
                   .top_p = 0.95,
                   .repetition_penalty = 1.2,
                   .max_reply_tokens = 512,
                   .replies = 3,
                   .seed = 9},
      .scoring = {.format = ReplyFormat::kTuple, .fusion = Fusion::kSum, .compat = true}};
  facts.trained_by = "match";
  facts.unlabelled = 3;
  facts.censored = 2;
  facts.dropped_empty = 1;
  return facts;
}

TEST(ScoredRows, AreReadBackAsWritten) {
  Evaluation evaluation{some_facts(), testing::random_rows(4, 40)};
  evaluation.rows[0].reply.text = "\"<b>\" \u2028 \n\t";
  evaluation.rows[0].reason = "because";
  evaluation.rows[1].reply.truncated = true;
  evaluation.rows[1].reply.turns_cut = 4;
  const auto path = std::filesystem::path(::testing::TempDir()) / "scored_rows_test.jsonl";
  FileHeader header;
  header.command = "learn2ask eval";
  write_scored_rows(path, evaluation, header);
  const Evaluation read = read_scored_rows(path);
  EXPECT_EQ(dump_json(to_json(read.facts)), dump_json(to_json(evaluation.facts)));
  ASSERT_EQ(read.rows.size(), evaluation.rows.size());
  for (size_t i = 0; i < read.rows.size(); ++i) {
    EXPECT_EQ(dump_json(to_json(read.rows[i])), dump_json(to_json(evaluation.rows[i])));
  }
  EXPECT_EQ(read.rows[1].reply.turns_cut, 4u);
  const auto before = measure(evaluation.rows), after = measure(read.rows);
  for (size_t m = 0; m < kMetricCount; ++m) {
    ASSERT_EQ(before[m].has_value(), after[m].has_value());
    if (!before[m]) continue;
    EXPECT_EQ(before[m]->value, after[m]->value);
    EXPECT_EQ(before[m]->low, after[m]->low);
    EXPECT_EQ(before[m]->high, after[m]->high);
  }
}

TEST(ScoredRows, SayWhatIsWrongInARow) {
  const struct {
    std::function<void(Json&)> spoil;
    const char* message;
  } cases[] = {
      {[](Json& j) { j.erase("session"); }, "'session': missing"},
      {[](Json& j) { j["turn"] = -1; }, "'turn': expected a whole number below 1000000000, got -1"},
      {[](Json& j) { j["turn"] = 1.5; },
       "'turn': expected a whole number below 1000000000, got 1.5"},
      {[](Json& j) { j["kind"] = "chat"; }, "'kind': 'chat' is none of its values"},
      {[](Json& j) { j["truth"] = "go"; }, "'truth': 'go' is none of its values"},
      {[](Json& j) { j["micro"] = 1.5; }, "'micro': outside [0, 1]"},
      {[](Json& j) { j["micro"] = -0.5; }, "'micro': outside [0, 1]"},
      {[](Json& j) { j["decision"] = ""; }, "'decision': '' is none of its values"},
  };
  for (const auto& c : cases) {
    Json json = to_json(testing::make_row("a", 1, Decision::kContinue, "ask", 1));
    ASSERT_TRUE(scored_row_from_json(json));
    c.spoil(json);
    const auto row = scored_row_from_json(json);
    ASSERT_FALSE(row) << c.message;
    EXPECT_EQ(row.error().message, c.message);
  }
}

TEST(ScoredRows, NeedTheHeaderThatSaysWhatWasEvaluated) {
  const auto path = std::filesystem::path(::testing::TempDir()) / "scored_rows_bare.jsonl";
  const Json row = to_json(testing::make_row("a", 1, Decision::kContinue, "ask", 1));
  write_file_atomic(path, dump_json(row) + "\n");
  try {
    read_scored_rows(path);
    FAIL();
  } catch (const Failure& failure) {
    EXPECT_EQ(failure.error.message, path.string() +
                                         ":1: no header that says what was evaluated "
                                         "(is this a scored_replies file?)");
  }
}

}  // namespace
}  // namespace l2a
