#include "calibrate/krippendorff.h"

#include <string>

#include <gtest/gtest.h>

#include "base/rng.h"
#include "calibrate/testing.h"

namespace l2a {
namespace {

using Items = std::vector<std::vector<size_t>>;

Coincidences coincidences_of(const Items& items, size_t classes) {
  Coincidences coincidences(classes);
  for (const auto& values : items) coincidences.add_item(values);
  return coincidences;
}
std::optional<double> alpha_of(const Items& items, size_t classes) {
  return coincidences_of(items, classes).ordinal_alpha();
}

// Of up to four people, some of whom did not judge it.
Items random_items(Rng& rng, size_t classes) {
  Items items(1 + rng.below(12));
  for (auto& values : items) {
    for (size_t n = rng.below(5); n > 0; --n) values.push_back(rng.below(classes));
  }
  return items;
}

TEST(OrdinalAlpha, IsThatOfThePublishedExample) {
  // Krippendorff (2011), section C: 4 observers, 12 units, values 1 to 5, missing ones as dots.
  const std::string observers[] = {"123321412...", "1233224125.3", ".3332342251.", "12332441251."};
  Items units(12);
  for (const std::string& observer : observers) {
    for (size_t u = 0; u < 12; ++u) {
      if (observer[u] != '.') units[u].push_back(static_cast<size_t>(observer[u] - '1'));
    }
  }
  const auto alpha = alpha_of(units, 5);
  ASSERT_TRUE(alpha);
  EXPECT_NEAR(*alpha, 0.815, 0.0005);
}

TEST(OrdinalAlpha, IsThatOfTheValuesOneByOne) {
  Rng rng(1);
  size_t defined = 0;
  for (int round = 0; round < 1000; ++round) {
    const size_t classes = 2 + rng.below(4);
    const Items items = random_items(rng, classes);
    const auto alpha = alpha_of(items, classes), literal = literal_alpha(items);
    ASSERT_EQ(alpha.has_value(), literal.has_value()) << round;
    if (!alpha) continue;
    ++defined;
    EXPECT_NEAR(*alpha, *literal, 1e-9) << round;
  }
  EXPECT_GT(defined, 800u);
}

TEST(OrdinalAlpha, IsOneWhereAllSayTheSameAndNearZeroByChance) {
  EXPECT_EQ(alpha_of({{0, 0}, {1, 1, 1}, {2, 2}}, 3), 1.0);
  Rng rng(2);
  Items chance(20'000);
  for (auto& values : chance) values = {rng.below(3), rng.below(3)};
  EXPECT_NEAR(*alpha_of(chance, 3), 0, 0.03);
}

TEST(OrdinalAlpha, MindsFarClassesMoreThanNearOnes) {
  const Items agreed = {{0, 0}, {1, 1}, {2, 2}};
  Items near = agreed, far = agreed;
  near.push_back({0, 1});
  far.push_back({0, 2});
  EXPECT_GT(*alpha_of(near, 3), *alpha_of(far, 3));
}

TEST(OrdinalAlpha, IsUndefinedWhereItSaysNothing) {
  EXPECT_EQ(alpha_of({}, 3), std::nullopt);
  EXPECT_EQ(alpha_of({{}, {0}, {2}}, 3), std::nullopt);       // nobody to agree with
  EXPECT_EQ(alpha_of({{1, 1}, {1, 1, 1}}, 3), std::nullopt);  // nothing to tell apart
  EXPECT_EQ(alpha_of({{1, 1}, {0}}, 3), std::nullopt);        // the 0 has no partner
}

TEST(OrdinalAlpha, DoesNotDependOnTheOrderOfPeopleOrItemsOrTheDirectionOfTheScale) {
  Rng rng(3);
  for (int round = 0; round < 300; ++round) {
    Items items = random_items(rng, 4);
    const auto alpha = alpha_of(items, 4);
    rng.shuffle(items);
    for (auto& values : items) {
      rng.shuffle(values);
      for (size_t& value : values) value = 3 - value;
    }
    const auto shuffled = alpha_of(items, 4);
    ASSERT_EQ(alpha.has_value(), shuffled.has_value());
    if (alpha) {
      EXPECT_NEAR(*alpha, *shuffled, 1e-12);
    }
  }
}

TEST(Coincidences, AddUpToThoseOfAllItems) {
  Rng rng(4);
  for (int round = 0; round < 300; ++round) {
    const Items first = random_items(rng, 3), second = random_items(rng, 3);
    Items all = first;
    all.insert(all.end(), second.begin(), second.end());
    Coincidences sum = coincidences_of(first, 3);
    sum.add(coincidences_of(second, 3));
    const auto joint = alpha_of(all, 3), added = sum.ordinal_alpha();
    ASSERT_EQ(joint.has_value(), added.has_value());
    if (joint) {
      EXPECT_NEAR(*joint, *added, 1e-12);
    }
  }
}

}  // namespace
}  // namespace l2a
