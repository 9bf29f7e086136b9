#include "eval/agreement.h"

#include <cmath>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/testing.h"
#include "eval/agreement_tables.h"
#include "eval/testing.h"

namespace l2a {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::make_row;
using testing::random_rows;

Evaluation evaluation(const std::string& policy, const std::string& grader,
                      std::vector<ScoredRow> rows, PolicyRole role = PolicyRole::kModel) {
  Evaluation result;
  result.facts.policy = policy;
  result.facts.grader = grader;
  result.facts.role = role;
  result.facts.split = "dev";
  result.rows = std::move(rows);
  return result;
}

// The rows with another grade, where there was one to give.
std::vector<ScoredRow> regraded(std::vector<ScoredRow> rows, uint64_t seed) {
  Rng rng(seed);
  for (ScoredRow& row : rows) {
    if (row.questions == 0 || !row.parts || row.truth == Decision::kStop) continue;
    if (rng.chance(0.4)) row.parts->micro = 0.5 * static_cast<double>(rng.below(3));
    if (rng.chance(0.1)) row.parts.reset(), row.reward.reset();
  }
  return rows;
}

TEST(MeasureAgreement, CountsOnlyWhatTheGradersDecided) {
  constexpr Decision kContinue = Decision::kContinue, kStop = Decision::kStop;
  std::vector<ScoredRow> rows = {make_row("s", 1, kContinue, "ask", 1),
                                 make_row("s", 3, kContinue, "stop"),
                                 make_row("s", 5, kStop, "ask", 1),
                                 make_row("s", 7, kStop, "stop"),
                                 make_row("s", 9, kContinue, "malformed"),
                                 make_row("s", 11, kContinue, "ask", 0, 0),
                                 make_row("s", 13, kContinue, "ask", 1, 1, 0),
                                 make_row("s", 15, kContinue, "ask", 0.5, 2)};
  auto other = rows;
  other[0].parts->micro = 0;
  other[7].parts.reset();
  const std::vector<Evaluation> both = {evaluation("SFT", "x", rows),
                                        evaluation("SFT", "y", other)};
  const auto agreements = measure_agreement(both);
  ASSERT_EQ(agreements.size(), 1u);  // one model: no line for all of them
  ConfusionTable table = {};
  table[2][0] = table[1][3] = 1;
  EXPECT_EQ(agreements[0].table, table);
  EXPECT_EQ(agreements[0].rate->value, 0);
  EXPECT_EQ(agreements[0].rate->count, 1u);
}

TEST(MeasureAgreement, PoolsModelsAndThenShowsEach) {
  const auto base = random_rows(1, 60), sft = random_rows(2, 60);
  const auto constant = random_rows(3, 60);
  std::vector<Evaluation> all;
  for (const char* grader : {"x", "y", "z"}) {
    const uint64_t seed = static_cast<uint64_t>(grader[0]);
    all.push_back(evaluation("base", grader, regraded(base, seed)));
    all.push_back(evaluation("SFT", grader, regraded(sft, seed)));
    all.push_back(
        evaluation("always stop", grader, regraded(constant, seed), PolicyRole::kBaseline));
  }
  const auto agreements = measure_agreement(all);
  ASSERT_EQ(agreements.size(), 9u);  // x y, x z, y z: together, base, SFT
  for (size_t p = 0; p < 9; p += 3) {
    EXPECT_THAT(agreements[p].policies, ElementsAre("base", "SFT"));
    EXPECT_THAT(agreements[p + 1].policies, ElementsAre("base"));
    EXPECT_THAT(agreements[p + 2].policies, ElementsAre("SFT"));
    for (size_t i = 0; i < kVerdictClasses.size(); ++i) {
      for (size_t j = 0; j < kVerdictClasses.size(); ++j) {
        EXPECT_EQ(agreements[p].table[i][j],
                  agreements[p + 1].table[i][j] + agreements[p + 2].table[i][j]);
      }
    }
    EXPECT_EQ(agreements[p].kappa->value, *cohen_kappa(agreements[p].table));
    EXPECT_EQ(agreements[p].linear->value, *linear_kappa(agreements[p].table));
    EXPECT_LT(agreements[p].kappa->low, agreements[p].kappa->value);
    EXPECT_GT(agreements[p].kappa->high, agreements[p].kappa->value);
  }
  EXPECT_EQ(agreements[3].a + agreements[3].b, "xz");
}

// Simulated: every session's replies agree or disagree together, so an interval by session has to
// be about as wide as sqrt(replies a session) times that of independent replies.
TEST(MeasureAgreement, DrawsWholeSessions) {
  const size_t sessions = 200, turns = 9;
  std::vector<ScoredRow> rows, other;
  for (size_t s = 0; s < sessions; ++s) {
    for (size_t t = 0; t < turns; ++t) {
      rows.push_back(
          make_row(std::to_string(s), 2 * t + 1, Decision::kContinue, "ask", t % 2 ? 1.0 : 0.0));
      other.push_back(rows.back());
      if (s % 2 == 0) other.back().parts->micro = 0.5;
    }
  }
  const std::vector<Evaluation> both = {evaluation("m", "x", rows), evaluation("m", "y", other)};
  const auto agreement = measure_agreement(both).front();
  EXPECT_EQ(agreement.rate->value, 0.5);
  const double by_session = 2 * 1.96 * std::sqrt(0.25 / static_cast<double>(sessions));
  EXPECT_NEAR(agreement.rate->high - agreement.rate->low, by_session, 0.1 * by_session);
}

TEST(MeasureAgreement, NeedsTheSameReplies) {
  const auto rows = random_rows(1, 3);
  auto shorter = rows, other = rows;
  shorter.pop_back();
  other[1].reply.text += " Really?";
  const auto refused = [&](const std::vector<ScoredRow>& second) {
    return failure_of([&] {
      measure_agreement(
          std::vector<Evaluation>{evaluation("m", "x", rows), evaluation("m", "y", second)});
    });
  };
  const auto place = [](const ScoredRow& row) {
    return "agreement: " + row.session + "/" + std::to_string(row.turn) +
           ": 'x' and 'y' did not grade the same reply of 'm' (evaluate with both graders at once)";
  };
  EXPECT_EQ(refused(shorter), place(rows.back()));
  EXPECT_EQ(refused(other), place(rows[1]));
}

TEST(MeasureAgreement, OneGraderHasNoneToAgreeWith) {
  const std::vector<Evaluation> one = {evaluation("m", "x", random_rows(1, 3))};
  EXPECT_TRUE(measure_agreement(one).empty());
  EXPECT_EQ(agreements_to_text({}), "");
  EXPECT_EQ(agreements_to_markdown({}), "");
  EXPECT_EQ(dump_json(agreements_to_json({})), "[]");
}

TEST(AgreementTables, SayWhatWasMeasured) {
  Agreement agreement;
  agreement.a = "truth";
  agreement.b = "match";
  agreement.split = "dev";
  agreement.policies = {"base", "SFT"};
  agreement.table = {{{20, 0, 5, 0}, {}, {10, 0, 15, 0}, {}}};
  agreement.table[0][3] = 2;
  agreement.rate = Estimate{0.7, 0.6, 0.8, 50};
  agreement.kappa = Estimate{0.4, 0.25, 0.5, 50};
  auto single = agreement;
  single.policies = {"a|b"};
  single.kappa = std::nullopt;
  const std::vector<Agreement> both = {agreement, single};

  const std::string text = agreements_to_text(both);
  EXPECT_THAT(text, HasSubstr("Agreement of the graders truth and match, split dev"));
  EXPECT_THAT(text, HasSubstr("all models                 50   0.700 [0.60-0.80]   "
                              "0.400 [0.25-0.50]                   -\n"));
  EXPECT_THAT(text, HasSubstr("verdicts of truth (lines) and match (columns):\n"));
  EXPECT_THAT(text, HasSubstr("                   0       20        0        5        2\n"));
  const std::string markdown = agreements_to_markdown(both);
  EXPECT_THAT(markdown, HasSubstr("| a\\|b | 50 | 0.700 [0.60-0.80] | - | - |\n"));
  EXPECT_THAT(markdown, HasSubstr("| all models | 0 | 20 | 0 | 5 | 2 |\n"));
  const Json json = agreements_to_json(both);
  EXPECT_EQ(dump_json(json[0]["rows"]), "[[20,0,5,2],[0,0,0,0],[10,0,15,0],[0,0,0,0]]");
  EXPECT_EQ(dump_json(json[0]["kappa"]), R"({"value":0.4,"low":0.25,"high":0.5,"count":50})");
  EXPECT_TRUE(json[1]["kappa"].is_null());
  EXPECT_EQ(dump_json(json[0]["policies"]), R"(["base","SFT"])");
}

}  // namespace
}  // namespace l2a
