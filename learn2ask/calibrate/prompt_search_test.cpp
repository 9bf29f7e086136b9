#include "calibrate/prompt_search.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/rng.h"
#include "base/testing.h"

namespace l2a {
namespace {

using ::testing::HasSubstr;

constexpr std::array kScale = {0.0, 0.5, 1.0};
constexpr size_t kPhrases = 200;

std::string phrase(size_t number) { return "[" + std::to_string(number) + "]"; }
bool has(const std::string& prompt, size_t number) {
  return prompt.find(phrase(number)) != prompt.npos;
}

// A judge with faults, each of which some phrases of its prompt mend. Others make it worse, most do
// nothing. Its verdict on an item depends on prompt and item alone.
class FaultyJudge final : public PromptJudge {
 public:
  // Which phrases mend what is the judge's secret, drawn by `seed`; `mendable`: any do.
  FaultyJudge(uint64_t seed, bool mendable) : seed_(seed) {
    Rng rng = Rng::stream(seed, "judge");
    std::vector<size_t> phrases(kPhrases);
    for (size_t i = 0; i < kPhrases; ++i) phrases[i] = i;
    rng.shuffle(phrases);
    const size_t faults = 1 + rng.below(3);
    for (size_t f = 0; f < faults; ++f) {
      faults_.insert((rng.below(3) + f) % 3);
    }
    size_t next = 0;
    for (auto& mending : mending_) {
      for (int i = 0; i < 6; ++i) {
        if (mendable) mending.insert(phrases[next]);
        ++next;
      }
    }
    for (int i = 0; i < 50; ++i) harmful_.insert(phrases[next++]);
  }

  // What people say: the truth.
  double gold(size_t item) const { return kScale[draw("gold", item, "") % 3]; }

  double verdict(const std::string& prompt, size_t item) const {
    double value = gold(item);
    const auto suffers = [&](size_t fault) {
      if (!faults_.contains(fault)) return false;
      for (const size_t number : mending_[fault]) {
        if (has(prompt, number)) return false;
      }
      return true;
    };
    const uint64_t dice = draw("item", item, "");
    if (suffers(0) && dice % 4 != 0) value = std::min(1.0, value + 0.5);       // lenient
    if (suffers(1) && (dice / 4) % 2 == 0) value = item % 2 == 0 ? 1.0 : 0.0;  // by position
    if (suffers(2) && (dice / 8) % 2 == 0) value = 0.5;                        // blind
    const auto harm = static_cast<uint64_t>(std::count_if(
        harmful_.begin(), harmful_.end(), [&](size_t number) { return has(prompt, number); }));
    // Now and then any judge says something else, depending on the very words of its prompt.
    const uint64_t whim = draw("whim", item, prompt);
    if (whim % 100 < 4 + 15 * harm) value = kScale[(whim / 100) % 3];
    return value;
  }

  std::vector<std::optional<double>> judge(const std::string& prompt,
                                           std::span<const size_t> items) override {
    std::vector<std::optional<double>> verdicts;
    for (const size_t item : items) {
      EXPECT_TRUE(asked_.emplace(prompt, item).second) << "asked twice";
      verdicts.push_back(verdict(prompt, item));
    }
    calls += items.size();
    return verdicts;
  }

  // Over items that no search has seen.
  double true_loss(const std::string& prompt) const {
    double sum = 0;
    for (size_t item = 1000; item < 3000; ++item) {
      sum += std::abs(verdict(prompt, item) - gold(item));
    }
    return sum / 2000;
  }

  size_t calls = 0;

 private:
  uint64_t draw(const std::string& what, size_t item, const std::string& prompt) const {
    return stable_hash(what + " " + std::to_string(seed_) + " " + std::to_string(item) + " " +
                       prompt);
  }
  uint64_t seed_;
  std::set<size_t> faults_;
  std::array<std::set<size_t>, 3> mending_;
  std::set<size_t> harmful_;
  std::set<std::pair<std::string, size_t>> asked_;
};

// Takes a phrase away now and then, and adds up to two of the 200. Knows nothing of the judge.
class RandomWriter final : public PromptWriter {
 public:
  explicit RandomWriter(uint64_t seed) : rng_(Rng::stream(seed, "writer")) {}
  std::vector<std::string> rewrite(const std::string& prompt, std::span<const Disagreement> wrong,
                                   size_t count) override {
    EXPECT_FALSE(wrong.empty());
    std::vector<std::string> prompts;
    for (size_t i = 0; i < count; ++i) {
      std::string text = prompt;
      const size_t last = text.rfind('[');
      if (last != text.npos && rng_.chance(0.2)) {
        size_t at = rng_.below(last + 1);  // the phrase that begins here or next
        at = text.find('[', at);
        text.erase(at, text.find(']', at) + 1 - at);
      }
      for (size_t n = rng_.below(3); n > 0; --n) text += phrase(rng_.below(kPhrases));
      prompts.push_back(std::move(text));
    }
    return prompts;
  }

 private:
  Rng rng_;
};

std::vector<double> gold_labels(const FaultyJudge& judge, size_t count) {
  std::vector<double> gold;
  for (size_t i = 0; i < count; ++i) gold.push_back(judge.gold(i));
  return gold;
}

PromptSearchResult calibrate(FaultyJudge& judge, uint64_t seed) {
  RandomWriter writer(seed);
  PromptSearchOptions options;
  options.rounds = 60;
  options.seed = seed;
  return search_prompt("Judge.", gold_labels(judge, 60), judge, writer, options);
}

TEST(SearchPrompt, RepairsFaultyJudgesFromSixtyLabels) {
  int repaired = 0;
  for (uint64_t seed = 1; seed <= 50; ++seed) {
    FaultyJudge judge(seed, true);
    const auto result = calibrate(judge, seed);
    EXPECT_LE(judge.calls, 10'000u) << seed;
    EXPECT_EQ(result.verdicts, judge.calls) << seed;
    const double before = judge.true_loss("Judge."), after = judge.true_loss(result.prompt);
    // A judge without faults has a loss of 0.02 from its whims.
    repaired += result.improved && after < 0.05;
    EXPECT_LT(after, before + 0.02) << seed;
  }
  EXPECT_GE(repaired, 45);
}

TEST(SearchPrompt, KeepsThePromptInUseWhereNothingHelps) {
  int changed = 0;
  for (uint64_t seed = 1; seed <= 50; ++seed) {
    FaultyJudge judge(seed, false);
    changed += calibrate(judge, seed).improved;
  }
  // One in twenty is left to luck.
  EXPECT_LE(changed, 4);
}

TEST(SearchPrompt, IsTheSameForTheSameSeed) {
  FaultyJudge a(7, true), b(7, true);
  const auto first = calibrate(a, 7), second = calibrate(b, 7);
  EXPECT_EQ(first.prompt, second.prompt);
  EXPECT_EQ(first.gain->low, second.gain->low);
  ASSERT_EQ(first.trials.size(), second.trials.size());
  for (size_t i = 0; i < first.trials.size(); ++i) {
    EXPECT_EQ(first.trials[i].prompt, second.trials[i].prompt);
    EXPECT_EQ(first.trials[i].loss, second.trials[i].loss);
  }
}

TEST(SearchPrompt, StaysWithinItsBudget) {
  for (const int64_t budget : {90, 120, 300, 1000}) {
    FaultyJudge judge(3, true);
    RandomWriter writer(3);
    PromptSearchOptions options;
    options.rounds = 1000;
    options.max_verdicts = budget;
    search_prompt("Judge.", gold_labels(judge, 60), judge, writer, options);
    EXPECT_LE(static_cast<int64_t>(judge.calls), budget);
  }
}

// Says what people say; the writer is never asked.
TEST(SearchPrompt, AsksForNothingMoreOfAJudgeThatIsRight) {
  class Right final : public PromptJudge {
   public:
    std::vector<std::optional<double>> judge(const std::string&,
                                             std::span<const size_t> items) override {
      std::vector<std::optional<double>> verdicts;
      for (const size_t item : items) verdicts.push_back(kScale[item % 3]);
      calls += items.size();
      return verdicts;
    }
    size_t calls = 0;
  } right;
  RandomWriter writer(1);
  std::vector<double> gold;
  for (size_t i = 0; i < 30; ++i) gold.push_back(kScale[i % 3]);
  const auto result = search_prompt("Judge.", gold, right, writer, {});
  EXPECT_FALSE(result.improved);
  EXPECT_EQ(right.calls, 18u);  // the search part, once
}

TEST(SearchPrompt, CountsAFailedVerdictAsTheWorst) {
  EXPECT_EQ(verdict_loss(0.5, std::nullopt), 1);
  EXPECT_EQ(verdict_loss(0.5, 1.0), 0.5);
  EXPECT_EQ(verdict_loss(1, 0.0), 1);
}

TEST(SearchPrompt, RefusesTooFewLabelsAndTooSmallABudget) {
  FaultyJudge judge(1, true);
  RandomWriter writer(1);
  EXPECT_THAT(failure_of([&] { search_prompt("J", gold_labels(judge, 9), judge, writer, {}); }),
              HasSubstr("9 gold labels"));
  // Each label is a class of its own: none would be held out.
  std::vector<double> distinct;
  for (int i = 0; i < 12; ++i) distinct.push_back(i / 12.0);
  EXPECT_THAT(failure_of([&] { search_prompt("J", distinct, judge, writer, {}); }),
              HasSubstr("0 gold labels are held out"));
  PromptSearchOptions options;
  options.max_verdicts = 50;
  EXPECT_THAT(
      failure_of([&] { search_prompt("J", gold_labels(judge, 60), judge, writer, options); }),
      HasSubstr("max_verdicts"));
}

}  // namespace
}  // namespace l2a
