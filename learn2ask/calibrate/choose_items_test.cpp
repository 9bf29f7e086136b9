#include "calibrate/choose_items.h"

#include <algorithm>
#include <map>
#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/rng.h"
#include "calibrate/testing.h"

namespace l2a {
namespace {

Candidate candidate(size_t number, double doubt, const std::string& stratum) {
  Candidate made{.item = grade_item(""), .doubt = doubt, .stratum = stratum};
  made.item.reply = "Question " + std::to_string(number) + "?";
  return made;
}

std::vector<Candidate> random_candidates(Rng& rng) {
  std::vector<Candidate> candidates;
  const size_t distinct = rng.below(60);
  for (size_t i = 0; i < distinct; ++i) {
    const double doubt = rng.chance(0.5) ? 0 : static_cast<double>(rng.below(5)) / 4;
    candidates.push_back(
        candidate(i, doubt, std::string(1, static_cast<char>('a' + rng.below(4)))));
    if (rng.chance(0.1)) candidates.push_back(rng.pick(candidates));  // one of them once more
  }
  return candidates;
}

bool is_by_doubt(const CalibrationItem& item) { return item.why.starts_with("judges differ"); }

TEST(ChooseItems, TakesTheMostDoubtfulOnesAndThenOfEachStratumAsMany) {
  Rng rng(1);
  for (uint64_t round = 0; round < 500; ++round) {
    const auto candidates = random_candidates(rng);
    std::map<std::string, Candidate> by_id;
    for (const Candidate& one : candidates) by_id.emplace(item_id(one.item), one);
    const size_t count = rng.below(40);
    const auto chosen = choose_items(candidates, count, round);
    ASSERT_EQ(chosen.size(), std::min(count, by_id.size()));

    std::set<std::string> ids;
    std::map<std::string, size_t> of_stratum, left;  // chosen to fill it, and not chosen
    double least_doubt = 1, most_passed_over = 0;
    size_t by_doubt = 0, with_doubt = 0;
    for (const CalibrationItem& item : chosen) {
      ASSERT_TRUE(ids.insert(item.id).second) << "twice";
      ASSERT_EQ(item.id, item_id(item));
      const Candidate& from = by_id.at(item.id);
      if (is_by_doubt(item)) {
        ++by_doubt;
        least_doubt = std::min(least_doubt, from.doubt);
      } else {
        EXPECT_EQ(item.why, "one of " + from.stratum);
        ++of_stratum[from.stratum];
        most_passed_over = std::max(most_passed_over, from.doubt);
      }
    }
    for (const auto& [id, one] : by_id) {
      with_doubt += one.doubt > 0;
      if (ids.contains(id)) continue;
      ++left[one.stratum];
      most_passed_over = std::max(most_passed_over, one.doubt);
    }
    EXPECT_EQ(by_doubt, std::min(with_doubt, count / 2)) << count;
    EXPECT_GT(least_doubt, 0);
    if (by_doubt > 0) {
      EXPECT_GE(least_doubt, most_passed_over);
    }
    // A stratum of which something is left has as many as any other, but for one.
    for (const auto& [stratum, unused] : left) {
      const size_t filled = of_stratum[stratum];
      for (const auto& [other, more] : of_stratum) {
        EXPECT_GE(filled + 1, more) << stratum << " beside " << other;
      }
    }
  }
}

std::vector<std::string> replies_of(const std::vector<CalibrationItem>& items) {
  std::vector<std::string> replies;
  for (const CalibrationItem& item : items) replies.push_back(item.reply);
  return replies;
}

std::vector<Candidate> alike(size_t count) {
  std::vector<Candidate> candidates;
  for (size_t i = 0; i < count; ++i) candidates.push_back(candidate(i, 0, "a"));
  return candidates;
}

TEST(ChooseItems, IsTheSameForTheSameSeed) {
  const auto chosen = replies_of(choose_items(alike(100), 10, 7));
  EXPECT_EQ(chosen, replies_of(choose_items(alike(100), 10, 7)));
  EXPECT_NE(chosen, replies_of(choose_items(alike(100), 10, 8)));
}

TEST(ChooseItems, GivesAllOfAStratumTheSameChance) {
  std::map<std::string, int> times;
  for (uint64_t seed = 0; seed < 400; ++seed) {
    for (const std::string& reply : replies_of(choose_items(alike(20), 5, seed))) ++times[reply];
  }
  // 100 on average, with a standard deviation of 8.7.
  ASSERT_EQ(times.size(), 20u);
  for (const auto& [reply, count] : times) EXPECT_NEAR(count, 100, 40) << reply;
}

TEST(ChooseItems, ShowsTheDoubtfulOnesAmongTheOthers) {
  std::vector<Candidate> candidates = alike(50);
  for (size_t i = 0; i < 25; ++i) candidates[i].doubt = 1;
  const auto chosen = choose_items(candidates, 40, 1);
  EXPECT_FALSE(std::is_partitioned(chosen.begin(), chosen.end(), is_by_doubt));
}

TEST(DoubtOf, IsTheDistanceOfTheVerdicts) {
  using Verdicts = std::map<std::string, std::optional<double>>;
  const struct {
    Verdicts verdicts;
    double doubt;
  } cases[] = {
      {{}, 0},
      {{{"a", 1.0}}, 0},
      {{{"a", std::nullopt}}, 0},
      {{{"a", 0.5}, {"b", 0.5}}, 0},
      {{{"a", 0.5}, {"b", 1.0}}, 0.5},
      {{{"a", 1.0}, {"b", 0.0}}, 1},
      {{{"a", 0.5}, {"b", 0.0}, {"c", 0.5}}, 0.5},
      {{{"a", 0.5}, {"b", std::nullopt}}, 0},  // it failed
      {{{"a", 0.5}, {"b", 0.5}, {"c", std::nullopt}}, 0},
      {{{"a", 0.5}, {"b", 1.0}, {"c", std::nullopt}}, 0.5},
      {{{"a", std::nullopt}, {"b", std::nullopt}}, 0},
  };
  for (const auto& c : cases) {
    CalibrationItem item = grade_item("g");
    item.verdicts = c.verdicts;
    EXPECT_EQ(doubt_of(item), c.doubt) << dump_json(to_json(item)["verdicts"]);
  }
}

}  // namespace
}  // namespace l2a
