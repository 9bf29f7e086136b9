#include "reward/thresholds.h"

#include <cmath>

#include <gtest/gtest.h>

#include "base/file.h"
#include "base/rng.h"
#include "base/testing.h"
#include "reward/threshold_fit.h"

namespace l2a {
namespace {

constexpr const char* kGood =
    "source: labels\nlanguages: [English]\n"
    "match: {same: 0.7, near: 0.6}\nwords: {same: 0.5, near: 0.4}\n"
    "agreement:\n  match: {kappa: 0.7, low: 0.6, high: 0.8}\n"
    "  words: {kappa: 0.5, low: 0.4, high: 0.6}\n";

TEST(LoadThresholds, ReadsTheShippedFiles) {
  for (const std::string name : {"flodial", "pharmacy"}) {
    const auto t = load_thresholds(L2A_SOURCE_DIR "/prompts/thresholds/" + name + ".yaml");
    EXPECT_FALSE(t.source.empty());
    EXPECT_EQ(t.languages, std::vector<std::string>{"English"});
    EXPECT_LT(t.match.near, t.match.same);
    EXPECT_LE(t.words.near, t.words.same);
  }
}

TEST(LoadThresholds, SaysWhatIsWrong) {
  const TempDir folder;
  const std::string path = folder / "t.yaml";
  const auto refusal = [&](const std::string& text) {
    write_file_atomic(path, text);
    std::string message = failure_of([&] { load_thresholds(path); });
    message.replace(message.find(path), path.size(), "T");
    return message;
  };
  const auto changed = [](std::string from, const std::string& to) {
    std::string text = kGood;
    return text.replace(text.find(from), from.size(), to);
  };
  EXPECT_EQ(refusal(changed("match: {same: 0.7, near: 0.6}\n", "")),
            "thresholds: T: 'match.same': missing");
  EXPECT_EQ(refusal(changed("source: labels\n", "")), "thresholds: T: 'source': missing");
  EXPECT_EQ(refusal(changed("same: 0.7", "same: 0.5")),
            "thresholds: T: 'match.near' is above 'match.same'");
  EXPECT_EQ(refusal(changed("near: 0.4", "near: 0.51")),
            "thresholds: T: 'words.near' is above 'words.same'");
  EXPECT_EQ(refusal(changed("same: 0.7", "same: 1.7")),
            "config: T:3: 'match.same': expected a number in [0, 1], got '1.7'");
  EXPECT_EQ(refusal(changed("kappa: 0.5, ", "")),
            "thresholds: T: 'agreement.words.kappa': missing");
  EXPECT_EQ(refusal(std::string(kGood) + "wrods: 1\n").substr(0, 32),
            "config: T:8: unknown key 'wrods'");
}

// Two normal distributions of equal spread, 2 sigma apart: AUC is Phi(sqrt 2), the best
// balanced accuracy is Phi(1), and its threshold stands in the middle.
TEST(FitThresholds, FindsWhatTwoNormalDistributionsSay) {
  Rng rng(11);
  const auto normal = [&] {
    return std::sqrt(-2 * std::log(1 - rng.uniform())) * std::cos(2 * M_PI * rng.uniform());
  };
  std::vector<LabelledPair> pairs;
  for (int i = 0; i < 40'000; ++i) pairs.push_back({0.7 + 0.1 * normal(), true});
  for (int i = 0; i < 40'000; ++i) pairs.push_back({0.5 + 0.1 * normal(), false});
  const auto fit = fit_thresholds(pairs).value_or_throw();
  EXPECT_NEAR(fit.auc, 0.5 * std::erfc(-1.0), 0.003);  // Phi(x) = erfc(-x / sqrt 2) / 2
  EXPECT_NEAR(fit.balanced_accuracy, 0.5 * std::erfc(-1 / std::sqrt(2.0)), 0.003);
  EXPECT_NEAR(fit.thresholds.near, 0.6, 0.03);  // flat: the error falls as n^(-1/3)
  EXPECT_LE(fit.thresholds.near, fit.thresholds.same);
}

TEST(FitThresholds, EqualsTryingEveryThreshold) {
  Rng rng(5);
  for (int round = 0; round < 200; ++round) {
    std::vector<LabelledPair> pairs = {{0.5, true}, {0.5, false}};
    for (size_t i = rng.below(30); i > 0; --i) {
      pairs.push_back({static_cast<double>(rng.below(8)) / 8, rng.chance(0.4)});
    }
    const auto fit = fit_thresholds(pairs).value_or_throw();
    double best_f1 = 0, wins = 0, comparisons = 0;
    for (const auto& at : pairs) {
      best_f1 = std::max(best_f1, count_verdicts(pairs, {at.similarity, at.similarity}).f1());
      for (const auto& other : pairs) {
        if (!at.same || other.same) continue;
        comparisons += 1;
        wins += at.similarity > other.similarity ? 1 : at.similarity == other.similarity ? 0.5 : 0;
      }
    }
    EXPECT_DOUBLE_EQ(fit.f1, best_f1);
    EXPECT_DOUBLE_EQ(fit.auc, wins / comparisons);
    EXPECT_DOUBLE_EQ(count_verdicts(pairs, fit.thresholds).f1(), fit.f1);
  }
}

TEST(FitThresholds, NeedsBothKinds) {
  const auto fit = fit_thresholds({{0.5, true}});
  ASSERT_FALSE(fit);
  EXPECT_EQ(fit.error().message,
            "threshold fit: 1 pairs ask for the same and 0 for different facts: needs both");
}

TEST(LabelledPairs, StayInsideAGroupAndCountRepeatedQuestionsOnce) {
  const std::vector<LabelledQuestion> questions = {{"1", "car", "a", "One?"},
                                                   {"2", "car", "a", "one?"},
                                                   {"3", "car", "a", "Two?"},
                                                   {"4", "car", "b", "Three?"},
                                                   {"5", "boat", "a", "Four?"}};
  const auto pairs =
      labelled_pairs(questions, [](const std::string&, const std::string&) { return 0.5; });
  ASSERT_EQ(pairs.size(), 3u);  // One-Two, One-Three, Two-Three
  EXPECT_EQ(std::count_if(pairs.begin(), pairs.end(), [](const auto& p) { return p.same; }), 1);
}

TEST(VerdictCounts, CountEveryKind) {
  const std::vector<LabelledPair> pairs = {{0.9, true},  {0.9, false}, {0.6, true},
                                           {0.6, false}, {0.1, true},  {0.1, false}};
  const auto c = count_verdicts(pairs, {.same = 0.8, .near = 0.5});
  for (const size_t count : {c.same_full, c.same_half, c.same_none, c.different_full,
                             c.different_half, c.different_none}) {
    EXPECT_EQ(count, 1u);
  }
  EXPECT_DOUBLE_EQ(c.precision(), 0.5);
  EXPECT_DOUBLE_EQ(c.recall(), 1.0 / 3);
  EXPECT_DOUBLE_EQ(c.f1(), 0.4);
}

}  // namespace
}  // namespace l2a
