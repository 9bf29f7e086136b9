#include "calibrate/search_journal.h"

#include <fstream>
#include <limits>
#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/rng.h"
#include "base/testing.h"
#include "calibrate/testing.h"

namespace l2a {
namespace {

using ::testing::HasSubstr;
using ::testing::MatchesRegex;

constexpr size_t kForever = std::numeric_limits<size_t>::max();

// What a task and a writer were asked, over all runs of a search; and how many calls they answer
// before they are gone.
struct Calls {
  size_t left = kForever;
  std::set<std::pair<std::string, size_t>> asked = {};      // prompt and item
  std::set<std::pair<std::string, size_t>> rewritten = {};  // prompt and round

  void take() {
    if (left == 0) fail(ErrorCode::kUnavailable, "gone");
    --left;
  }
};

// A prompt is letters; an item is judged right with a prompt that has its letter, a, b or c.
class LetterTask final : public PromptTask {
 public:
  explicit LetterTask(Calls& calls) : calls_(calls) {}
  std::vector<Outcome> run(const std::string& prompt, std::span<const size_t> items) override {
    calls_.take();
    std::vector<Outcome> outcomes;
    for (const size_t item : items) {
      EXPECT_TRUE(calls_.asked.emplace(prompt, item).second) << "asked again: " << prompt;
      const bool right = prompt.find(static_cast<char>('a' + item % 3)) != prompt.npos;
      // Sevenths have no short decimal form.
      const auto sevenths = static_cast<double>(1 + stable_hash(std::to_string(item)) % 6);
      outcomes.push_back(
          {right ? 0 : sevenths / 7, "\"" + prompt + "\"\n岁 " + std::to_string(item)});
    }
    return outcomes;
  }

 private:
  Calls& calls_;
};

// Adds two letters, drawn by the round and by all that it is shown.
class LetterWriter final : public PromptWriter {
 public:
  explicit LetterWriter(Calls& calls) : calls_(calls) {}
  Rewriting rewrite(const std::string& prompt, std::span<const Mistake> mistakes, size_t count,
                    size_t round) override {
    calls_.take();
    EXPECT_TRUE(calls_.rewritten.emplace(prompt, round).second) << "written again: " << prompt;
    std::string seen;
    for (const Mistake& mistake : mistakes) {
      seen += mistake.outcome.said + std::to_string(mistake.outcome.loss);
    }
    Rng rng = Rng::stream(stable_hash(seen), "letters", round);
    std::vector<std::string> prompts;
    for (size_t i = 0; i < count; ++i) {
      prompts.push_back(prompt);
      for (int n = 0; n < 2; ++n) prompts.back() += static_cast<char>('a' + rng.below(5));
    }
    return {.prompts = std::move(prompts), .refused = {{seen, "too long"}}};
  }
  std::vector<std::string> take_back_one(const std::string& prompt,
                                         const std::string& in_use) const override {
    std::vector<std::string> prompts;
    for (size_t i = in_use.size(); i < prompt.size(); ++i) {
      prompts.push_back(prompt.substr(0, i) + prompt.substr(i + 1));
    }
    return prompts;
  }

 private:
  Calls& calls_;
};

Json json_of(const PromptSearchResult& result) {
  Json trials = Json::array();
  for (const PromptTrial& trial : result.trials) {
    trials.push_back({trial.prompt, trial.round, trial.items, trial.loss.value_or(-1)});
  }
  for (const RefusedTrial& trial : result.refused) {
    trials.push_back({trial.refused.prompt, trial.refused.reason, trial.round});
  }
  Json json;
  json["prompt"] = result.prompt;
  json["best"] = result.best;
  json["improved"] = result.improved;
  if (result.gain) json["gain"] = {result.gain->value, result.gain->low, result.gain->high};
  json["counts"] = {result.outcomes, result.held_out};
  json["trials"] = std::move(trials);
  return json;
}

std::string search(PromptTask& task, PromptWriter& writer) {
  std::vector<SearchItem> items;
  for (size_t i = 0; i < 36; ++i) items.push_back({std::to_string(i), std::to_string(i % 3)});
  PromptSearchOptions options;
  options.rounds = 5;
  options.candidates = 4;
  return dump_json(json_of(search_prompt("!d", items, task, writer, options)));
}

std::string search_without_journal(Calls& calls) {
  LetterTask task(calls);
  LetterWriter writer(calls);
  return search(task, writer);
}

std::string search_with_journal(const std::filesystem::path& path, Calls& calls) {
  LetterTask task(calls);
  LetterWriter writer(calls);
  SearchJournal journal(path, "decisive");
  RecordedTask recorded_task(task, journal);
  RecordedWriter recorded_writer(writer, journal);
  return search(recorded_task, recorded_writer);
}

TEST(SearchJournal, LetsAnInterruptedSearchGoOnAndAsksForNothingTwice) {
  Calls uninterrupted;
  const std::string result = search_without_journal(uninterrupted);
  EXPECT_THAT(result, HasSubstr("\"improved\":true"));
  // What the one in use has stays, and of what was added only what is missed.
  EXPECT_THAT(get_string(*parse_json(result), "prompt").value_or_throw(), MatchesRegex("!d[abc]+"));
  EXPECT_GE(uninterrupted.rewritten.size(), 2u);
  const TempDir dir;
  size_t interrupted = 0;
  for (size_t left = 0;; ++left) {
    Calls calls{.left = left};
    const auto path = dir / std::to_string(left);
    std::string said;
    try {
      said = search_with_journal(path, calls);
    } catch (const Failure& failure) {
      ASSERT_EQ(failure.error.message, "gone");
      ++interrupted;
    }
    if (!said.empty()) break;  // more calls than the search makes
    calls.left = kForever;
    ASSERT_EQ(search_with_journal(path, calls), result) << "after " << left << " calls";
    ASSERT_EQ(calls.asked, uninterrupted.asked);
    ASSERT_EQ(calls.rewritten, uninterrupted.rewritten);
  }
  EXPECT_GE(interrupted, 10u);
}

TEST(SearchJournal, LetsASearchGoOnThatIsInterruptedAgainAndAgain) {
  Calls uninterrupted, calls;
  const std::string result = search_without_journal(uninterrupted);
  const TempDir dir;
  const auto path = dir / "search.jsonl";
  std::string said;
  for (size_t attempt = 0; attempt < 1000 && said.empty(); ++attempt) {
    calls.left = 1;
    try {
      said = search_with_journal(path, calls);
    } catch (const Failure&) {  // it got one call further
    }
  }
  EXPECT_EQ(said, result);
  calls.left = 0;  // all is known now
  EXPECT_EQ(search_with_journal(path, calls), result);
}

TEST(SearchJournal, LosesNothingButTheLineThatAKillTore) {
  const TempDir dir;
  const auto whole = dir / "whole.jsonl", cut = dir / "cut.jsonl";
  Calls first;
  const std::string result = search_with_journal(whole, first);
  const std::string bytes = read_file(whole);
  for (size_t size = bytes.find('\n') + 1; size <= bytes.size(); size += 211) {
    write_file_atomic(cut, bytes.substr(0, size));
    Calls calls;
    ASSERT_EQ(search_with_journal(cut, calls), result) << size;
    ASSERT_TRUE(read_file(cut) == bytes) << size;
  }
}

TEST(SearchJournal, KeepsWhatItWasGiven) {
  const TempDir dir;
  const auto path = dir / "search.jsonl";
  const std::vector<size_t> items = {7, 3};
  const std::vector<Outcome> outcomes = {{0.1 + 0.2, "7"}, {1.0 / 3, "a\n\"b\" 岁"}};
  const std::vector<std::string> prompts = {"[user]\n{open}", ""};
  {
    SearchJournal journal(path, "decisive");
    journal.keep("prompt", items, outcomes);
    journal.keep("prompt", 2, Rewriting{prompts, {{"[user]", "lacks {open}"}}});
    journal.keep("other", 2, Rewriting());
  }
  const SearchJournal journal(path, "decisive");
  for (size_t i = 0; i < items.size(); ++i) {
    const Outcome* kept = journal.outcome("prompt", items[i]);
    ASSERT_NE(kept, nullptr);
    EXPECT_EQ(kept->loss, outcomes[i].loss);
    EXPECT_EQ(kept->said, outcomes[i].said);
  }
  EXPECT_EQ(journal.outcome("prompt", 2), nullptr);
  EXPECT_EQ(journal.outcome("other", 7), nullptr);
  const Rewriting* rewriting = journal.rewriting("prompt", 2);
  ASSERT_NE(rewriting, nullptr);
  EXPECT_EQ(rewriting->prompts, prompts);
  ASSERT_EQ(rewriting->refused.size(), 1u);
  EXPECT_EQ(rewriting->refused[0].prompt, "[user]");
  EXPECT_EQ(rewriting->refused[0].reason, "lacks {open}");
  ASSERT_NE(journal.rewriting("other", 2), nullptr);  // nothing came of it: not asked again
  EXPECT_TRUE(journal.rewriting("other", 2)->prompts.empty());
  EXPECT_EQ(journal.rewriting("prompt", 1), nullptr);
}

TEST(SearchJournal, ChargesWhatWasSpentToWhatItWasSpentOn) {
  const TempDir folder;
  const auto path = folder.path() / "search.jsonl";
  CallSpending spent{.calls = 5, .cost = 1};  // of an earlier ledger: on what comes first
  const auto so_far = [&] { return spent; };
  const std::vector<size_t> items = {0, 1};
  const std::vector<Outcome> outcomes = {{0.5, "x"}, {1, "y"}};
  const auto spend = [&](int64_t calls, double cost) {
    spent.calls += calls;
    spent.cost += cost;
  };
  {
    SearchJournal journal(path, "d", so_far);
    spend(2, 0.5);
    journal.keep("a", items, outcomes);
    spend(1, 0.25);
    journal.keep("a", 1, Rewriting{{"b"}});
    spend(2, 2);  // on b, before a kill
  }
  {
    SearchJournal journal(path, "d", so_far);
    spend(1, 1);
    journal.keep("b", items, outcomes);
    spend(3, 0.125);
    journal.keep("a", items, outcomes);
  }
  spent = {};  // somebody took the ledger away
  SearchJournal journal(path, "d", so_far);
  spend(1, 0.5);
  journal.keep("c", items, outcomes);
  spend(1, 0.5);
  journal.keep("c", items, outcomes);
  const auto of = [](const CallSpending& sum) { return std::pair(sum.calls, sum.cost); };
  EXPECT_EQ(of(journal.spent_on("a")), std::pair(int64_t{5 + 2 + 3}, 1.625));
  EXPECT_EQ(of(journal.spent_on("b")), std::pair(int64_t{2 + 1}, 3.0));
  EXPECT_EQ(of(journal.spent_on_writing()), std::pair(int64_t{1}, 0.25));
  EXPECT_EQ(of(journal.spent_on("c")), std::pair(int64_t{2}, 1.0));
  EXPECT_EQ(of(journal.spent_on("never tried")), std::pair(int64_t{0}, 0.0));
}

TEST(SearchJournal, RefusesThatOfAnotherSearchAndASecondOpener) {
  const TempDir dir;
  const auto path = dir / "search.jsonl";
  {
    SearchJournal journal(path, "decisive");
    journal.keep("prompt", 1, Rewriting{{"another"}});
    EXPECT_THAT(failure_of([&] { SearchJournal(path, "decisive"); }), HasSubstr("another process"));
  }
  const std::string bytes = read_file(path);
  EXPECT_THAT(failure_of([&] { SearchJournal(path, "else"); }), HasSubstr("other settings"));
  EXPECT_EQ(read_file(path), bytes);
}

TEST(SearchJournal, RefusesThatOfAnEarlierVersionByItsHeaderWhateverItsRows) {
  const TempDir dir;
  const auto path = dir / "search.jsonl";
  {
    const SearchJournal journal(path, "earlier");
  }
  std::ofstream(path, std::ios::app) << R"({"prompt":"p","outcomes":[]})" << "\n";
  EXPECT_THAT(failure_of([&] { SearchJournal(path, "decisive"); }),
              HasSubstr("give another --out"));
  EXPECT_THAT(failure_of([&] { SearchJournal(path, "earlier"); }),
              HasSubstr("search.jsonl:2: 'spent': missing"));
}

TEST(SearchJournal, LeavesAFileAloneThatNoSearchBegan) {
  const TempDir dir;
  const auto path = dir / "search.jsonl";
  for (const std::string& text : {std::string("my notes"), std::string("{\"a\": 1}\nmy notes"),
                                  header_of("gold_labels"), header_of("gold_labels") + "{}"}) {
    write_file_atomic(path, text);
    EXPECT_THAT(failure_of([&] { SearchJournal(path, "decisive"); }), HasSubstr(path.string()))
        << text;
    EXPECT_EQ(read_file(path), text);
  }
}

TEST(SearchJournal, NamesTheLineThatIsNone) {
  const TempDir dir;
  const auto path = dir / "search.jsonl";
  {
    const SearchJournal journal(path, "decisive");
  }
  const std::string header = read_file(path);
  for (const std::string line :
       {R"(rubbish)",
        R"([])",
        R"({})",
        R"({"prompt": "h"})",
        R"({"outcomes": []})",
        R"({"prompt": 1, "outcomes": []})",
        R"({"prompt": "h", "outcomes": null})",
        R"({"prompt": "h", "outcomes": 3})",
        R"({"prompt": "h", "outcomes": [3]})",
        R"({"prompt": "h", "outcomes": [{"item": "1", "loss": 0, "said": ""}]})",
        R"({"prompt": "h", "outcomes": [{"item": -1, "loss": 0, "said": ""}]})",
        R"({"prompt": "h", "outcomes": [{"item": 0.5, "loss": 0, "said": ""}]})",
        R"({"prompt": "h", "outcomes": [{"item": 1e300, "loss": 0, "said": ""}]})",
        R"({"prompt": "h", "outcomes": [{"item": 1, "loss": 2, "said": ""}]})",
        R"({"prompt": "h", "outcomes": [{"item": 1, "loss": -1, "said": ""}]})",
        R"({"prompt": "h", "outcomes": [{"item": 1, "loss": 0}]})",
        R"({"round": 1, "prompts": []})",
        R"({"round": -1, "of": "h", "prompts": []})",
        R"({"round": 1.5, "of": "h", "prompts": []})",
        R"({"of": "h", "prompts": []})",
        R"({"round": 1, "of": "h", "prompts": "p"})",
        R"({"round": 1, "of": "h", "prompts": [1]})"}) {
    write_file_atomic(path, header + line + "\n");
    EXPECT_THAT(failure_of([&] { SearchJournal(path, "decisive"); }),
                HasSubstr(path.string() + ":2: "))
        << line;
  }
}

}  // namespace
}  // namespace l2a
