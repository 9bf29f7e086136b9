#include "eval/metrics.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "eval/testing.h"

namespace l2a {
namespace {

using testing::make_row;
using testing::random_rows;

constexpr Decision kContinue = Decision::kContinue, kStop = Decision::kStop;

std::optional<double> value(const MetricTable& table, Metric metric) {
  const auto& estimate = table[static_cast<size_t>(metric)];
  return estimate ? std::optional(estimate->value) : std::nullopt;
}

// The definitions of DESIGN.md section 1 once more, each as a literal loop of its own.
struct Literal {
  const std::vector<ScoredRow>& rows;

  bool continued(const ScoredRow& r) const { return r.action && r.action->decision == kContinue; }
  bool stopped(const ScoredRow& r) const { return r.action && r.action->decision == kStop; }
  bool in_wa(const ScoredRow& r) const {
    return r.truth == kContinue && r.wanted > 0 && r.parts.has_value();
  }
  template <class Pick, class Value>
  double mean(Pick pick, Value of) const {
    double sum = 0, n = 0;
    for (const ScoredRow& r : rows) {
      if (pick(r)) sum += of(r), n += 1;
    }
    return sum / n;
  }
  double wa(bool inform) const {
    return mean([&](auto& r) { return in_wa(r) && (!inform || r.kind == TurnKind::kInform); },
                [](auto& r) { return r.parts->micro; });
  }
  double wa_gh(bool inform) const {
    return mean([&](auto& r) { return in_wa(r) && (!inform || r.kind == TurnKind::kInform); },
                [](auto& r) { return r.parts->micro == 1 ? 1.0 : 0.0; });
  }
  double cr() const {
    return mean([](auto& r) { return r.truth == kContinue; },
                [&](auto& r) { return continued(r) ? 1.0 : 0.0; });
  }
  double tr() const {
    return mean([](auto& r) { return r.truth == kStop; },
                [&](auto& r) { return stopped(r) ? 1.0 : 0.0; });
  }
  double accuracy() const {
    return mean(
        [](auto&) { return true; },
        [&](auto& r) { return (r.truth == kStop ? stopped(r) : continued(r)) ? 1.0 : 0.0; });
  }
  bool in_reward(const ScoredRow& r) const { return in_wa(r) || (r.truth == kStop && r.parts); }
  double format() const {
    return mean([&](auto& r) { return in_reward(r); }, [](auto& r) { return r.parts->format; });
  }
  double reward() const {
    return mean([&](auto& r) { return in_reward(r); }, [](auto& r) { return *r.reward; });
  }
  double reward_published() const {
    const double go_on = mean([&](auto& r) { return in_wa(r); }, [](auto& r) { return *r.reward; });
    const double stop = mean([&](auto& r) { return in_reward(r) && r.truth == kStop; },
                             [](auto& r) { return *r.reward; });
    return 0.472 * go_on + 0.528 * stop;
  }
  double format_published() const {
    const double go_on =
        mean([&](auto& r) { return in_wa(r); }, [](auto& r) { return r.parts->format; });
    const double stop = mean([&](auto& r) { return in_reward(r) && r.truth == kStop; },
                             [](auto& r) { return r.parts->format; });
    return 0.472 * go_on + 0.528 * stop;
  }
  double malformed() const {
    return mean([](auto&) { return true; }, [](auto& r) { return r.action ? 0.0 : 1.0; });
  }
  double no_question() const {
    return mean([&](auto& r) { return continued(r); },
                [](auto& r) { return r.questions == 0 ? 1.0 : 0.0; });
  }
  double repeated() const {
    return mean([&](auto& r) { return continued(r); },
                [](auto& r) { return r.repeated ? 1.0 : 0.0; });
  }
  double questions_per_session() const {
    std::set<std::string> sessions;
    double questions = 0;
    for (const ScoredRow& r : rows) {
      sessions.insert(r.session);
      if (continued(r)) questions += static_cast<double>(r.questions);
    }
    return questions / static_cast<double>(sessions.size());
  }
};

TEST(Measure, EqualsTheDefinitionsTakenLiterally) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    const auto rows = random_rows(seed, 60);
    const Literal literal{rows};
    const std::pair<Metric, double> expected[] = {
        {Metric::kWa, literal.wa(false)},
        {Metric::kWaGh, literal.wa_gh(false)},
        {Metric::kWaInform, literal.wa(true)},
        {Metric::kWaGhInform, literal.wa_gh(true)},
        {Metric::kCr, literal.cr()},
        {Metric::kTr, literal.tr()},
        {Metric::kAccuracy, literal.accuracy()},
        {Metric::kBalancedAccuracy, (literal.cr() + literal.tr()) / 2},
        {Metric::kFormat, literal.format()},
        {Metric::kFormatPublished, literal.format_published()},
        {Metric::kReward, literal.reward()},
        {Metric::kRewardPublished, literal.reward_published()},
        {Metric::kMalformed, literal.malformed()},
        {Metric::kNoQuestion, literal.no_question()},
        {Metric::kRepeated, literal.repeated()},
        {Metric::kQuestionsPerSession, literal.questions_per_session()},
    };
    ASSERT_EQ(std::size(expected), kMetricCount);
    const MetricTable table = measure(rows, {.resamples = 1});
    for (const auto& [metric, want] : expected) {
      ASSERT_TRUE(value(table, metric)) << metric_info(metric).key;
      EXPECT_NEAR(*value(table, metric), want, 1e-12) << metric_info(metric).key << " " << seed;
    }
  }
}

// Six samples of two sessions, worked by hand:
//   a/1 continue, asks an open item, one question    R_a 1,   P 1    reward 4
//   a/3 continue, asks too generally, two questions  R_a 0.5, P 0.5  reward 2.5
//   a/5 stop, stops                                  R_a 1,   P 1    reward 4
//   b/1 continue, stops (wrong)                                      reward 0
//   b/3 continue, nothing left to ask, asks          counts in CR and accuracy only
//   b/5 stop, malformed                                              reward 0
TEST(Measure, AgreesWithATableWorkedByHand) {
  const std::vector<ScoredRow> rows = {
      make_row("a", 1, kContinue, "ask", 1),
      make_row("a", 3, kContinue, "ask", 0.5, 2),
      make_row("a", 5, kStop, "stop"),
      make_row("b", 1, kContinue, "stop"),
      make_row("b", 3, kContinue, "ask", 0, 1, 0),
      make_row("b", 5, kStop, "malformed"),
  };
  const MetricTable table = measure(rows);
  EXPECT_DOUBLE_EQ(*value(table, Metric::kWa), 0.5);
  EXPECT_DOUBLE_EQ(*value(table, Metric::kWaGh), 1.0 / 3);
  EXPECT_DOUBLE_EQ(*value(table, Metric::kCr), 0.75);
  EXPECT_DOUBLE_EQ(*value(table, Metric::kTr), 0.5);
  EXPECT_DOUBLE_EQ(*value(table, Metric::kAccuracy), 4.0 / 6);
  EXPECT_DOUBLE_EQ(*value(table, Metric::kBalancedAccuracy), 0.625);
  EXPECT_DOUBLE_EQ(*value(table, Metric::kFormat), 2.5 / 5);
  EXPECT_DOUBLE_EQ(*value(table, Metric::kReward), 10.5 / 5);
  EXPECT_DOUBLE_EQ(*value(table, Metric::kRewardPublished), 0.472 * 6.5 / 3 + 0.528 * 2);
  EXPECT_DOUBLE_EQ(*value(table, Metric::kMalformed), 1.0 / 6);
  EXPECT_DOUBLE_EQ(*value(table, Metric::kNoQuestion), 0);
  EXPECT_DOUBLE_EQ(*value(table, Metric::kQuestionsPerSession), 2);
  EXPECT_FALSE(value(table, Metric::kWaInform));

  const RowCounts counts = count_rows(rows);
  EXPECT_EQ(counts.sessions, 2u);
  EXPECT_EQ(counts.continue_rows, 4u);
  EXPECT_EQ(counts.stop_rows, 2u);
  EXPECT_EQ(counts.empty_rows, 1u);
  EXPECT_EQ(counts.unscored, 0u);
}

// Rows of one class balance whose means are the published ones: 1,000 samples a class.
std::vector<ScoredRow> published_rows(double wa, double cr, double tr, double format) {
  std::vector<ScoredRow> rows;
  for (int i = 0; i < 1000; ++i) {
    ScoredRow go_on =
        make_row("s" + std::to_string(i), 1, kContinue, i < 1000 * cr ? "ask" : "stop");
    ScoredRow stop = make_row("s" + std::to_string(i), 3, kStop, i < 1000 * tr ? "stop" : "ask");
    // Content and format spread evenly over the right decisions, so that the means come out.
    const double spread_format = format / (0.472 * cr + 0.528 * tr);
    for (ScoredRow* row : {&go_on, &stop}) {
      if (row->parts->macro == 0) continue;
      row->parts->format = spread_format;
      if (row == &go_on) row->parts->micro = wa / cr;
      row->reward = fuse(Fusion::kProduct, *row->parts);
    }
    rows.push_back(go_on);
    rows.push_back(stop);
  }
  return rows;
}

TEST(Measure, ReproducesThePublishedRewardsFromThePublishedParts) {
  const struct {
    double wa, cr, tr, format, reward;
  } published[] = {{.436, .963, .024, .376, 1.281},
                   {.496, .909, .927, .713, 3.078},
                   {.509, .922, .909, .882, 3.237}};
  for (const auto& p : published) {
    const auto table = measure(published_rows(p.wa, p.cr, p.tr, p.format), {.resamples = 1});
    EXPECT_NEAR(*value(table, Metric::kRewardPublished), p.reward, 2e-3);
    EXPECT_NEAR(*value(table, Metric::kFormatPublished), p.format, 1e-3);
  }
}

TEST(Measure, RewardIsTheSumOfItsPartsUnderTheProductFusion) {
  for (uint64_t seed = 1; seed <= 10; ++seed) {
    auto rows = random_rows(seed, 80);
    std::erase_if(rows, [](const ScoredRow& row) {
      return !row.parts || (row.truth == kContinue && row.wanted == 0);
    });
    const auto counts = count_rows(rows);
    const double c =
        static_cast<double>(counts.continue_rows) / static_cast<double>(counts.replies);
    const auto t = measure(rows, {.resamples = 1});
    EXPECT_NEAR(*value(t, Metric::kReward),
                c * (*value(t, Metric::kCr) + 2 * *value(t, Metric::kWa)) +
                    (1 - c) * 3 * *value(t, Metric::kTr) + *value(t, Metric::kFormat),
                1e-12);
  }
}

TEST(Measure, LeavesUnscoredRepliesOutOfWaAndRewardButNotOutOfTheDecision) {
  auto rows = random_rows(7, 40);
  auto masked = rows;
  ScoredRow unscored = make_row("s0", 99, kContinue, "ask", 1);
  unscored.parts.reset();
  unscored.reward.reset();
  masked.push_back(unscored);
  const auto before = measure(rows, {.resamples = 1}), after = measure(masked, {.resamples = 1});
  for (const Metric metric : {Metric::kWa, Metric::kWaGh, Metric::kFormat, Metric::kReward}) {
    EXPECT_EQ(value(before, metric), value(after, metric));
  }
  EXPECT_GT(*value(after, Metric::kCr), *value(before, Metric::kCr));
  EXPECT_EQ(count_rows(masked).unscored, count_rows(rows).unscored + 1);
}

TEST(Measure, AnOddReplyOfThreeCountsAThirdAQuestionASession) {
  std::vector<ScoredRow> rows;
  for (size_t i = 0; i < 3; ++i) {
    rows.push_back(make_row("a", 1, kContinue, i == 0 ? "ask" : "stop"));
    rows.back().reply_index = i;
  }
  EXPECT_DOUBLE_EQ(*value(measure(rows), Metric::kQuestionsPerSession), 1.0 / 3);
}

TEST(Measure, IsUndefinedWithoutRows) {
  for (const auto& estimate : measure({})) EXPECT_FALSE(estimate);
}

TEST(Measure, GivesTheSameIntervalsForTheSameSeedWhateverTheOrderOfRows) {
  auto rows = random_rows(3, 50);
  const auto first = measure(rows, {.resamples = 200, .seed = 5});
  Rng(11).shuffle(rows);
  const auto second = measure(rows, {.resamples = 200, .seed = 5});
  const auto other = measure(rows, {.resamples = 200, .seed = 6});
  bool differs = false;
  for (size_t m = 0; m < kMetricCount; ++m) {
    ASSERT_TRUE(first[m] && second[m] && other[m]);
    EXPECT_NEAR(first[m]->low, second[m]->low, 1e-12);
    EXPECT_NEAR(first[m]->high, second[m]->high, 1e-12);
    EXPECT_LE(first[m]->low, first[m]->value);
    EXPECT_GE(first[m]->high, first[m]->value);
    differs |= first[m]->low != other[m]->low;
  }
  EXPECT_TRUE(differs);
}

// Sessions of 4 turns whose own rate of right decisions is drawn evenly from [0.4, 1]: turns of
// one session go together, which is what resampling sessions must respect.
std::vector<ScoredRow> clustered_rows(Rng& rng, double shift = 0) {
  std::vector<ScoredRow> rows;
  for (int s = 0; s < 80; ++s) {
    const double rate = 0.4 + 0.6 * rng.uniform() - shift;
    for (size_t t = 0; t < 4; ++t) {
      rows.push_back(
          make_row("s" + std::to_string(s), t, kContinue, rng.chance(rate) ? "ask" : "stop"));
    }
  }
  return rows;
}

// Estimates of one quantity on many data sets against what they estimate.
class Intervals {
 public:
  explicit Intervals(double truth) : truth_(truth) {}
  void add(double value, double low, double high) {
    values_.push_back(value);
    covered_ += low <= truth_ && truth_ <= high;
    width_ += high - low;
  }
  // They cover the truth as often as they claim, and are no wider than the estimate scatters.
  void expect_right() const {
    const auto n = static_cast<double>(values_.size());
    // Four standard deviations of a binomial share; a point more, since percentile intervals of 80
    // sessions are a little narrow.
    EXPECT_GE(covered_ / n, 0.94 - 4 * std::sqrt(0.95 * 0.05 / n));
    const double mean = std::accumulate(values_.begin(), values_.end(), 0.0) / n;
    double squares = 0;
    for (const double value : values_) squares += (value - mean) * (value - mean);
    const double expected = 2 * 1.96 * std::sqrt(squares / (n - 1));
    // The scatter itself is known to 1 / sqrt(2 n), four times that is allowed.
    EXPECT_NEAR(width_ / n / expected, 1, 4 / std::sqrt(2 * n));
  }

 private:
  double truth_, covered_ = 0, width_ = 0;
  std::vector<double> values_;
};

TEST(Measure, IntervalsCoverTheTruthInAboutNinetyFivePercentOfDataSets) {
  Rng rng(2026);
  Intervals intervals(0.7);
  for (int i = 0; i < 300; ++i) {
    const auto table = measure(clustered_rows(rng), {.resamples = 400});
    const Estimate& cr = *table[static_cast<size_t>(Metric::kCr)];
    intervals.add(cr.value, cr.low, cr.high);
  }
  intervals.expect_right();
}

Evaluation named(const char* policy, std::vector<ScoredRow> rows) {
  Evaluation evaluation;
  evaluation.facts.policy = policy;
  evaluation.rows = std::move(rows);
  return evaluation;
}

TEST(Compare, ASharedDifferenceOfSessionsCancels) {
  // b is a with every tenth session's first reply turned wrong: small, but always one way.
  Rng rng(1);
  auto rows = clustered_rows(rng);
  auto worse = rows;
  for (size_t i = 0; i < worse.size(); i += 40) {
    worse[i] = make_row(worse[i].session, worse[i].turn, kContinue, "stop");
  }
  const auto a = named("a", rows), b = named("b", worse);
  const auto result = compare(a, b, Metric::kCr);
  ASSERT_TRUE(result);
  EXPECT_GT(result->difference, 0);
  EXPECT_GE(result->low, 0);
  EXPECT_GT(result->share_above_zero, 0.95);
  const auto table = measure(rows);
  const Estimate& alone = *table[static_cast<size_t>(Metric::kCr)];
  EXPECT_LT(result->high - result->low, (alone.high - alone.low) / 2);

  const auto reverse = compare(b, a, Metric::kCr);
  ASSERT_TRUE(reverse);
  EXPECT_DOUBLE_EQ(reverse->difference, -result->difference);
  EXPECT_NEAR(reverse->low, -result->high, 1e-12);
}

TEST(Compare, APolicyDoesNotDifferFromItself) {
  const auto a = named("a", random_rows(5, 30));
  for (const MetricInfo& info : metric_infos()) {
    const auto result = compare(a, a, info.metric, {.resamples = 100});
    ASSERT_TRUE(result) << info.key;
    EXPECT_EQ(result->low, 0);
    EXPECT_EQ(result->high, 0);
    EXPECT_EQ(result->share_above_zero, 0);
  }
}

TEST(Compare, IntervalsOfTheDifferenceCoverTheTruth) {
  Rng rng(77);
  Intervals intervals(0.1);
  for (int i = 0; i < 200; ++i) {
    const auto a = named("a", clustered_rows(rng)), b = named("b", clustered_rows(rng, 0.1));
    const auto result = compare(a, b, Metric::kCr, {.resamples = 300});
    ASSERT_TRUE(result);
    intervals.add(result->difference, result->low, result->high);
  }
  intervals.expect_right();
}

TEST(Compare, RefusesPoliciesThatAnsweredOtherSamples) {
  const auto a =
      named("GRPO", {make_row("x", 1, kContinue, "ask"), make_row("x", 3, kStop, "stop")});
  const auto b = named("SFT", {make_row("x", 1, kContinue, "ask")});
  const auto result = compare(a, b, Metric::kCr);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().message,
            "compare: x/3: 'GRPO' answers it and 'SFT' does not (evaluate both on the same labels "
            "with the same decoding)");
  const auto undefined = compare(b, b, Metric::kTr);
  ASSERT_FALSE(undefined);
  EXPECT_EQ(undefined.error().message, "compare: tr: undefined for 'SFT' (no sample of its kind)");
}

TEST(MetricInfos, AreInOrderWithKeysOfTheirOwn) {
  std::set<std::string_view> keys;
  for (const MetricInfo& info : metric_infos()) {
    keys.insert(info.key);
    EXPECT_EQ(&metric_info(info.metric), &info);
    EXPECT_LE(std::string_view(info.column).size(), 10u);
  }
  EXPECT_EQ(keys.size(), kMetricCount);
}

}  // namespace
}  // namespace l2a
