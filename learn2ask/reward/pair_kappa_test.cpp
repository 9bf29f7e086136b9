#include <cmath>
#include <optional>
#include <vector>

#include <gtest/gtest.h>

#include "base/rng.h"
#include "reward/threshold_fit.h"

namespace l2a {
namespace {

constexpr SimilarityThresholds kThresholds{.same = 0.7, .near = 0.4};

using Pairs = std::vector<LabelledPair>;

// Every two of `questions`; the similarity follows people's label but for noise.
Pairs random_pairs(size_t questions, double noise, Rng& rng) {
  Pairs pairs;
  for (size_t a = 0; a < questions; ++a) {
    for (size_t b = a + 1; b < questions; ++b) {
      const bool same = rng.chance(0.4);
      const double similarity = rng.chance(noise) ? rng.uniform() : same ? 0.9 : 0.1;
      pairs.push_back({.similarity = similarity, .same = same, .a = a, .b = b});
    }
  }
  return pairs;
}

double verdict_of(const LabelledPair& pair) {
  if (pair.similarity >= kThresholds.same) return 1;
  return pair.similarity >= kThresholds.near ? 0.5 : 0;
}

// One less the distance of label and verdict over that of any label and any verdict; each pair
// counts as often as `times` says.
std::optional<double> literal_kappa(const Pairs& pairs, const std::vector<size_t>& times) {
  double observed = 0, crossed = 0, count = 0;
  for (const LabelledPair& p : pairs) {
    const auto of_p = static_cast<double>(times[p.a] * times[p.b]);
    observed += of_p * std::abs(p.same - verdict_of(p));
    count += of_p;
    for (const LabelledPair& q : pairs) {
      const auto of_q = static_cast<double>(times[q.a] * times[q.b]);
      crossed += of_p * of_q * std::abs(p.same - verdict_of(q));
    }
  }
  if (crossed == 0) return std::nullopt;
  return 1 - observed * count / crossed;
}

double width(const Estimate& estimate) { return estimate.high - estimate.low; }

TEST(PairKappa, IsThatOfItsDefinition) {
  Rng rng(1);
  for (int round = 0; round < 100; ++round) {
    const size_t questions = 3 + rng.below(12);
    const Pairs pairs = random_pairs(questions, rng.uniform(), rng);
    const auto kappa = pair_kappa(pairs, kThresholds, {.resamples = 10});
    const auto expected = literal_kappa(pairs, std::vector<size_t>(questions, 1));
    ASSERT_EQ(kappa.has_value(), expected.has_value());
    if (!kappa) continue;
    EXPECT_NEAR(kappa->value, *expected, 1e-12);
    EXPECT_EQ(kappa->count, pairs.size());
  }
}

TEST(PairKappa, IsOneForPerfectVerdictsAndNoneForChance) {
  Rng rng(2);
  const auto perfect = pair_kappa(random_pairs(20, 0, rng), kThresholds);
  ASSERT_TRUE(perfect);
  EXPECT_DOUBLE_EQ(perfect->value, 1);
  EXPECT_DOUBLE_EQ(perfect->low, 1);
  const auto chance = pair_kappa(random_pairs(80, 1, rng), kThresholds);
  ASSERT_TRUE(chance);
  EXPECT_NEAR(chance->value, 0, 0.05);
}

TEST(PairKappa, KnowsTheEdgesOfAVerdict) {
  const auto kappa_at = [](double similarity) {
    // Beside one of each kind that is judged rightly.
    const Pairs pairs = {{.similarity = 1, .same = true, .a = 0, .b = 1},
                         {.similarity = 0, .same = false, .a = 1, .b = 2},
                         {.similarity = similarity, .same = true, .a = 0, .b = 2}};
    return pair_kappa(pairs, kThresholds)->value;
  };
  EXPECT_DOUBLE_EQ(kappa_at(0.7), 1);
  EXPECT_LT(kappa_at(0.699), 1);
  EXPECT_DOUBLE_EQ(kappa_at(0.4), kappa_at(0.699));
  EXPECT_LT(kappa_at(0.399), kappa_at(0.4));
}

// The questions are drawn anew, and with them all pairs that they stand in.
TEST(PairKappa, HasTheIntervalOfQuestionsDrawnAnew) {
  Rng rng(3);
  for (uint64_t seed = 1; seed <= 5; ++seed) {
    const size_t questions = 9;
    const Pairs pairs = random_pairs(questions, 0.5, rng);
    const BootstrapOptions options{.resamples = 300, .seed = seed};
    const auto kappa = pair_kappa(pairs, kThresholds, options);
    ASSERT_TRUE(kappa);
    std::vector<double> values;
    resample(questions, options, [&](const std::vector<size_t>& drawn) {
      std::vector<size_t> times(questions);
      for (const size_t question : drawn) ++times[question];
      if (const auto value = literal_kappa(pairs, times)) values.push_back(*value);
    });
    const Interval expected = interval_95(values, 0);
    EXPECT_NEAR(kappa->low, expected.low, 1e-9);
    EXPECT_NEAR(kappa->high, expected.high, 1e-9);
    EXPECT_LT(kappa->low, kappa->value);
    EXPECT_GT(kappa->high, kappa->value);
  }
}

TEST(PairKappa, IsLessCertainOfFewerQuestions) {
  Rng rng(4);
  double few = 0, many = 0;
  for (uint64_t seed = 1; seed <= 10; ++seed) {
    const BootstrapOptions options{.resamples = 200, .seed = seed};
    few += width(pair_kappa(random_pairs(10, 0.4, rng), kThresholds, options).value());
    many += width(pair_kappa(random_pairs(40, 0.4, rng), kThresholds, options).value());
  }
  EXPECT_GT(few, 1.5 * many);
}

// Pairs that share a question say less than as many that do not.
TEST(PairKappa, IsLessCertainOfPairsThatShareAQuestion) {
  Rng rng(5);
  double shared = 0, apart = 0;
  for (uint64_t seed = 1; seed <= 10; ++seed) {
    Pairs star, disjoint;
    for (size_t i = 0; i < 60; ++i) {
      const bool same = i % 2 == 0;
      // All pairs of one question are judged rightly, or none is.
      const size_t hub = i / 20;
      const bool right = hub != 0;
      const double similarity = same == right ? 0.9 : 0.1;
      star.push_back({.similarity = similarity, .same = same, .a = hub, .b = 3 + i});
      disjoint.push_back({.similarity = similarity, .same = same, .a = 2 * i, .b = 2 * i + 1});
    }
    const BootstrapOptions options{.resamples = 300, .seed = seed};
    shared += width(pair_kappa(star, kThresholds, options).value());
    apart += width(pair_kappa(disjoint, kThresholds, options).value());
  }
  EXPECT_GT(shared, apart);
}

TEST(PairKappa, IsUndefinedWhereAllIsOneVerdict) {
  EXPECT_FALSE(pair_kappa({}, kThresholds));
  const Pairs alike(5, {.similarity = 0.9, .same = true, .a = 0, .b = 1});
  EXPECT_FALSE(pair_kappa(alike, kThresholds));
}

}  // namespace
}  // namespace l2a
