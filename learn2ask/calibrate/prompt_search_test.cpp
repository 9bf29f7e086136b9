#include "calibrate/prompt_search.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
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
class FaultyJudge final : public PromptTask {
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

  std::vector<Outcome> run(const std::string& prompt, std::span<const size_t> items) override {
    std::vector<Outcome> outcomes;
    for (const size_t item : items) {
      EXPECT_TRUE(asked_.emplace(prompt, item).second) << "asked twice";
      outcomes.push_back({std::abs(verdict(prompt, item) - gold(item)), ""});
    }
    calls += items.size();
    return outcomes;
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

// The prompt without the phrase that begins at `at`.
std::string without_phrase(const std::string& prompt, size_t at) {
  return prompt.substr(0, at) + prompt.substr(prompt.find(']', at) + 1);
}

// Takes a phrase away now and then, and adds up to two of the 200. Knows nothing of the judge.
class RandomWriter final : public PromptWriter {
 public:
  explicit RandomWriter(uint64_t seed) : rng_(Rng::stream(seed, "writer")) {}
  Rewriting rewrite(const std::string& prompt, std::span<const Mistake> mistakes, size_t count,
                    size_t) override {
    EXPECT_FALSE(mistakes.empty());
    std::vector<std::string> prompts;
    for (size_t i = 0; i < count; ++i) {
      std::string text = prompt;
      const size_t last = text.rfind('[');
      if (last != text.npos && rng_.chance(0.2)) {
        // The phrase that begins at the place drawn or next.
        text = without_phrase(text, text.find('[', rng_.below(last + 1)));
      }
      for (size_t n = rng_.below(3); n > 0; --n) text += phrase(rng_.below(kPhrases));
      prompts.push_back(std::move(text));
    }
    return {.prompts = std::move(prompts)};
  }
  std::vector<std::string> take_back_one(const std::string& prompt,
                                         const std::string& in_use) const override {
    EXPECT_EQ(in_use.find('['), in_use.npos);
    std::vector<std::string> prompts;
    for (size_t at = prompt.find('['); at != prompt.npos; at = prompt.find('[', at + 1)) {
      prompts.push_back(without_phrase(prompt, at));
    }
    return prompts;
  }

 private:
  Rng rng_;
};

// Each of a session of its own.
std::vector<SearchItem> labelled_items(const FaultyJudge& judge, size_t count) {
  std::vector<SearchItem> items;
  for (size_t i = 0; i < count; ++i) {
    items.push_back({"session " + std::to_string(i), std::to_string(judge.gold(i))});
  }
  return items;
}

PromptSearchResult calibrate(FaultyJudge& judge, uint64_t seed) {
  RandomWriter writer(seed);
  PromptSearchOptions options;
  options.seed = seed;
  return search_prompt("Judge.", labelled_items(judge, 60), judge, writer, options);
}

TEST(SearchPrompt, RepairsFaultyJudgesFromSixtyLabels) {
  int repaired = 0;
  for (uint64_t seed = 1; seed <= 50; ++seed) {
    FaultyJudge judge(seed, true);
    const auto result = calibrate(judge, seed);
    EXPECT_LE(judge.calls, 10'000u) << seed;
    EXPECT_EQ(result.outcomes, judge.calls) << seed;
    const double before = judge.true_loss("Judge."), after = judge.true_loss(result.prompt);
    // A judge without faults has a loss of 0.02 from its whims.
    repaired += result.improved && after < 0.05;
    EXPECT_LT(after, before + 0.02) << seed;
  }
  RecordProperty("repaired", repaired);  // for docs/calibration.md
  EXPECT_GE(repaired, 45);
}

TEST(SearchPrompt, KeepsThePromptInUseWhereNothingHelps) {
  int changed = 0;
  for (uint64_t seed = 1; seed <= 50; ++seed) {
    FaultyJudge judge(seed, false);
    changed += calibrate(judge, seed).improved;
  }
  EXPECT_EQ(changed, 0);
}

TEST(SearchPrompt, TakesBackWhatIsNotMissed) {
  size_t missed = 0;
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    FaultyJudge judge(seed, true);
    const auto result = calibrate(judge, seed);
    std::map<std::string, PromptTrial> trials;
    for (const PromptTrial& trial : result.trials) trials[trial.prompt] = trial;
    const PromptTrial& best = trials.at(result.best);
    for (const std::string& fewer : RandomWriter(1).take_back_one(result.best, "Judge.")) {
      ASSERT_TRUE(trials.contains(fewer)) << fewer << " was not tried";
      EXPECT_EQ(trials.at(fewer).items, best.items) << fewer;
      EXPECT_GT(trials.at(fewer).loss, best.loss) << fewer;
      ++missed;
    }
  }
  EXPECT_GE(missed, 20u);  // no judge is mended by nothing
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

// The more phrases the better, so that every race has a winner, and nothing can be taken back.
class Insatiable final : public PromptTask {
 public:
  std::vector<Outcome> run(const std::string& prompt, std::span<const size_t> items) override {
    calls += items.size();
    const auto phrases = static_cast<double>(std::count(prompt.begin(), prompt.end(), '['));
    return std::vector<Outcome>(items.size(), {1 / (1 + phrases), ""});
  }
  size_t calls = 0;
};

TEST(SearchPrompt, StaysWithinItsBudget) {
  PromptSearchOptions options;
  options.rounds = 1000;
  for (options.max_outcomes = 84; options.max_outcomes <= 1000; options.max_outcomes += 7) {
    FaultyJudge judge(3, true);
    Insatiable insatiable;
    for (PromptTask* task :
         {static_cast<PromptTask*>(&judge), static_cast<PromptTask*>(&insatiable)}) {
      RandomWriter writer(3);
      search_prompt("Judge.", labelled_items(judge, 60), *task, writer, options);
    }
    EXPECT_LE(static_cast<int64_t>(judge.calls), options.max_outcomes);
    EXPECT_LE(static_cast<int64_t>(insatiable.calls), options.max_outcomes);
  }
}

// Nothing is better than the prompt in use, which does everything badly.
class Hopeless final : public PromptTask {
 public:
  std::vector<Outcome> run(const std::string&, std::span<const size_t> items) override {
    calls += items.size();
    return std::vector<Outcome>(items.size(), {1, ""});
  }
  size_t calls = 0;
};

// So many others, new each time.
class TirelessWriter final : public PromptWriter {
 public:
  Rewriting rewrite(const std::string& prompt, std::span<const Mistake>, size_t count,
                    size_t round) override {
    Rewriting rewriting;
    for (size_t i = 0; i < count; ++i) {
      rewriting.prompts.push_back(prompt + std::to_string(++written_));
    }
    rewriting.refused = {{"bad " + std::to_string(round), "it lacks {open}"}};
    return rewriting;
  }
  std::vector<std::string> take_back_one(const std::string&, const std::string&) const override {
    return {};
  }

 private:
  int written_ = 0;
};

TEST(OutcomesOfShortRaces, AreWhatASearchInWhichNothingHelpsAsksFor) {
  for (const int64_t max_outcomes : {100, 500, 10'000}) {
    for (const int64_t rounds : {1, 7}) {
      for (const size_t items : {12, 60}) {
        PromptSearchOptions options{.rounds = rounds, .max_outcomes = max_outcomes};
        std::vector<SearchItem> all;
        for (size_t i = 0; i < items; ++i) all.push_back({std::to_string(i), "all"});
        Hopeless task;
        TirelessWriter writer;
        const auto result = search_prompt("Judge.", all, task, writer, options);
        const auto foreseen = static_cast<double>(outcomes_of_short_races(all, options));
        EXPECT_LE(static_cast<double>(task.calls), foreseen);
        EXPECT_GT(static_cast<double>(task.calls), foreseen - 8);  // what is left is too little
        // Every candidate is kept: what was tried, what was not any more, and what was refused.
        const size_t ran = result.refused.size();
        ASSERT_GE(ran, 1u);
        EXPECT_LE(ran, static_cast<size_t>(rounds));
        EXPECT_EQ(result.trials.size(), 1 + ran * static_cast<size_t>(options.candidates));
        size_t tried_on = 0;
        for (const PromptTrial& trial : result.trials) {
          tried_on += trial.items;
          EXPECT_EQ(trial.loss, trial.items > 0 ? std::optional(1.0) : std::nullopt);
        }
        EXPECT_EQ(tried_on, task.calls);
        for (size_t i = 0; i < ran; ++i) {
          EXPECT_EQ(result.refused[i].round, i + 1);
          EXPECT_EQ(result.refused[i].refused.prompt, "bad " + std::to_string(i + 1));
          EXPECT_EQ(result.refused[i].refused.reason, "it lacks {open}");
        }
      }
    }
  }
}

// Says of "b" that it is "c" with a change too many, and of "c" that it is "b" with one.
class GoingInCircles final : public PromptWriter {
 public:
  Rewriting rewrite(const std::string&, std::span<const Mistake>, size_t, size_t) override {
    return {.prompts = {"b"}};
  }
  std::vector<std::string> take_back_one(const std::string& prompt,
                                         const std::string&) const override {
    return {prompt == "b" ? "c" : "b"};
  }
};

TEST(SearchPrompt, EndsWhateverTheWriterTakesBack) {
  class : public PromptTask {
   public:
    std::vector<Outcome> run(const std::string& prompt, std::span<const size_t> items) override {
      return std::vector<Outcome>(items.size(), {prompt == "a" ? 1.0 : 0.5, ""});
    }
  } task;
  GoingInCircles writer;
  std::vector<SearchItem> items;
  for (int i = 0; i < 20; ++i) items.push_back({std::to_string(i), "all"});
  const auto result = search_prompt("a", items, task, writer, {});
  EXPECT_EQ(result.prompt, "c");
  EXPECT_TRUE(result.improved);
}

// Makes no mistake; counts.
class Right final : public PromptTask {
 public:
  std::vector<Outcome> run(const std::string&, std::span<const size_t> items) override {
    calls += items.size();
    tried.insert(items.begin(), items.end());
    return std::vector<Outcome>(items.size());
  }
  size_t calls = 0;
  std::set<size_t> tried;
};

std::vector<SearchItem> three_strata(size_t count, size_t items_a_session) {
  std::vector<SearchItem> items;
  for (size_t i = 0; i < count; ++i) {
    items.push_back({std::to_string(i / items_a_session), std::to_string(i % 3)});
  }
  return items;
}

TEST(SearchPrompt, AsksForNothingMoreOfATaskThatIsDoneRight) {
  Right right;
  RandomWriter writer(1);
  const auto result = search_prompt("Judge.", three_strata(30, 1), right, writer, {});
  EXPECT_FALSE(result.improved);
  EXPECT_EQ(right.calls, 18u);  // the search part, once
}

TEST(SearchPrompt, HoldsWholeSessionsOut) {
  Right right;
  RandomWriter writer(1);
  const auto result = search_prompt("Judge.", three_strata(60, 5), right, writer, {});
  EXPECT_EQ(right.tried.size() + result.held_out, 60u);
  for (size_t session = 0; session < 12; ++session) {
    for (size_t i = 1; i < 5; ++i) {
      EXPECT_EQ(right.tried.contains(5 * session), right.tried.contains(5 * session + i));
    }
  }
}

TEST(SearchPrompt, RefusesTooFewLabelsAndTooSmallABudget) {
  FaultyJudge judge(1, true);
  RandomWriter writer(1);
  EXPECT_THAT(failure_of([&] { search_prompt("J", labelled_items(judge, 9), judge, writer, {}); }),
              HasSubstr("9 items"));
  // Each is a stratum of its own: none would be held out.
  std::vector<SearchItem> distinct;
  for (int i = 0; i < 12; ++i) distinct.push_back({std::to_string(i), std::to_string(i)});
  EXPECT_THAT(failure_of([&] { search_prompt("J", distinct, judge, writer, {}); }),
              HasSubstr("the items of 0 sessions are held out"));
  PromptSearchOptions options;
  options.max_outcomes = 50;
  EXPECT_THAT(
      failure_of([&] { search_prompt("J", labelled_items(judge, 60), judge, writer, options); }),
      HasSubstr("max_outcomes"));
}

}  // namespace
}  // namespace l2a
