#include "base/rng.h"

#include <cmath>
#include <map>
#include <set>

#include <gtest/gtest.h>

namespace l2a {
namespace {

TEST(Rng, GivesThePublishedSequence) {
  Rng rng(0);
  rng.restore({1, 2, 3, 4});
  // Source: the test vector of rand_xoshiro, made with the authors' xoshiro256starstar.c.
  for (const uint64_t expected :
       {uint64_t{11520}, uint64_t{0}, uint64_t{1509978240}, uint64_t{1215971899390074240},
        uint64_t{1216172134540287360}, uint64_t{607988272756665600},
        uint64_t{16172922978634559625u}, uint64_t{8476171486693032832},
        uint64_t{10595114339597558777u}, uint64_t{2904607092377533576}}) {
    EXPECT_EQ(rng.next(), expected);
  }
}

TEST(Rng, IsSeededBySplitMix64) {
  // Source: the sequence of SplitMix64 from 1234567, as published with its description.
  const std::array<uint64_t, 4> expected = {6457827717110365317u, 3203168211198807973u,
                                            9817491932198370423u, 4593380528125082431u};
  EXPECT_EQ(Rng(1234567).state(), expected);
}

TEST(Rng, GoesOnFromARestoredState) {
  Rng rng(7), other(8);
  for (int i = 0; i < 100; ++i) rng.next();
  other.restore(rng.state());
  for (int i = 0; i < 100; ++i) EXPECT_EQ(rng.next(), other.next());
}

TEST(Rng, StreamsDoNotDependOnEachOther) {
  std::set<uint64_t> firsts;
  for (uint64_t seed = 0; seed < 10; ++seed) {
    for (const char* name : {"", "typos", "answers"}) {
      for (uint64_t index = 0; index < 100; ++index) {
        firsts.insert(Rng::stream(seed, name, index).next());
      }
    }
  }
  EXPECT_EQ(firsts.size(), 10u * 3 * 100);
}

// Pearson's statistic against the 0.999999 quantile, by the normal approximation.
TEST(Rng, BelowIsUniform) {
  Rng rng(3);
  for (const uint64_t n : {2u, 3u, 7u, 10u, 100u}) {
    const double draws = 20'000.0 * static_cast<double>(n), expected = 20'000;
    std::vector<double> counts(n);
    for (double i = 0; i < draws; ++i) ++counts[rng.below(n)];
    double chi2 = 0;
    for (const double count : counts) chi2 += (count - expected) * (count - expected) / expected;
    const double degrees = static_cast<double>(n - 1);
    EXPECT_LT(chi2, degrees + 5 * std::sqrt(2 * degrees) + 20) << n;
  }
  EXPECT_EQ(rng.below(1), 0u);
}

TEST(Rng, BelowReachesTheTopOfALargeRangeWithoutBias) {
  // Two thirds of 2^64: with a plain remainder, half of the range would be twice as likely.
  constexpr uint64_t kN = 0xAAAAAAAAAAAAAAAB;
  Rng rng(4);
  int low = 0;
  for (int i = 0; i < 100'000; ++i) low += rng.below(kN) < kN / 2;
  EXPECT_NEAR(low, 50'000, 5 * std::sqrt(25'000));
}

TEST(Rng, UniformHasTheMomentsOfTheUnitInterval) {
  Rng rng(5);
  double sum = 0, square = 0;
  constexpr int kDraws = 1'000'000;
  for (int i = 0; i < kDraws; ++i) {
    const double u = rng.uniform();
    ASSERT_GE(u, 0);
    ASSERT_LT(u, 1);
    sum += u;
    square += u * u;
  }
  EXPECT_NEAR(sum / kDraws, 0.5, 5 * std::sqrt(1.0 / 12 / kDraws));
  EXPECT_NEAR(square / kDraws, 1.0 / 3, 5 * std::sqrt(4.0 / 45 / kDraws));
}

TEST(Rng, ShuffleGivesEveryOrderEquallyOften) {
  Rng rng(6);
  std::map<std::vector<int>, int> orders;
  for (int i = 0; i < 60'000; ++i) {
    std::vector<int> values = {1, 2, 3, 4};
    rng.shuffle(values);
    ++orders[values];
  }
  ASSERT_EQ(orders.size(), 24u);
  for (const auto& [order, count] : orders) EXPECT_NEAR(count, 2500, 5 * std::sqrt(2500));
}

TEST(StableHash, IsFnv1aFinishedBySplitMix64) {
  // Source: the FNV-1a test vectors of the authors' page.
  const struct {
    const char* text;
    uint64_t fnv1a;
  } cases[] = {{"", 0xcbf29ce484222325}, {"a", 0xaf63dc4c8601ec8c}, {"foobar", 0x85944171f73967e8}};
  for (const auto& c : cases) EXPECT_EQ(stable_hash(c.text), Rng(c.fnv1a).state()[0]) << c.text;
}

TEST(StableHash, SpreadsSimilarTextsEvenly) {
  std::vector<double> counts(100);
  for (int i = 0; i < 100'000; ++i) ++counts[stable_hash("session-" + std::to_string(i)) % 100];
  for (const double count : counts) EXPECT_NEAR(count, 1000, 5 * std::sqrt(1000));
}

}  // namespace
}  // namespace l2a
