// What a search for a prompt has learnt so far, so that one that was killed goes on: nothing that
// came of an item with a prompt is asked for again, and no prompt is written again.
//
// JSONL ("prompt_search"): {"round", "of": SHA-256 of the prompt, "prompts": [...], "refused":
// [{"prompt", "reason"}...], "spent"} for each rewriting, {"prompt": SHA-256, "outcomes": [{"item",
// "loss", "said"}...], "spent"} for each trial; "spent": {"calls", "cost"} of all calls up to
// there.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "base/headed_journal.h"
#include "calibrate/prompt_search.h"

namespace l2a {

// What calls came to.
struct CallSpending {
  int64_t calls = 0;  // whose reply came
  double cost = 0;    // of all that were sent
};

// Not thread-safe; one process a file.
class SearchJournal {
 public:
  using Spent = std::function<CallSpending()>;  // on all so far, by this process and earlier ones

  // Opens `path` or makes it. `decisive`: SHA-256 of what decides the result. Throws Failure: kIo;
  // kInvalidInput where it was left by a search for something else, or holds what is no such line.
  SearchJournal(
      const std::filesystem::path& path, const std::string& decisive,
      Spent spent = [] { return CallSpending(); });

  const Outcome* outcome(const std::string& prompt, size_t item) const;  // null: none yet
  void keep(const std::string& prompt, std::span<const size_t> items,
            std::span<const Outcome> outcomes);
  const Rewriting* rewriting(const std::string& of, size_t round) const;  // null: none yet
  void keep(const std::string& of, size_t round, const Rewriting& rewriting);

  // What its trials came to, with what was spent on one that a kill cut short.
  CallSpending spent_on(const std::string& prompt) const;
  CallSpending spent_on_writing() const { return writing_; }

 private:
  void read(const Json& row);
  // Adds to `sum` what was spent since the last line, up to `now`.
  void charge(CallSpending& sum, const CallSpending& now);
  Json charge_now(CallSpending& sum);  // the same; `now` for a line
  HeadedJournal journal_;
  Spent spent_;
  CallSpending last_, writing_;
  std::map<std::string, CallSpending> trials_;                      // by hash
  std::map<std::pair<std::string, size_t>, Outcome> outcomes_;      // by hash and item
  std::map<std::pair<std::string, size_t>, Rewriting> rewritings_;  // by hash and round
};

// A task and a writer whose work is kept. Both, and the journal, must outlive it.
class RecordedTask final : public PromptTask {
 public:
  using OnOutcomes = std::function<void(size_t)>;  // how many, after each trial
  RecordedTask(
      PromptTask& task, SearchJournal& journal, OnOutcomes on_outcomes = [](size_t) {})
      : task_(task), journal_(journal), on_outcomes_(std::move(on_outcomes)) {}
  std::vector<Outcome> run(const std::string& prompt, std::span<const size_t> items) override;

 private:
  PromptTask& task_;
  SearchJournal& journal_;
  OnOutcomes on_outcomes_;
};
class RecordedWriter final : public PromptWriter {
 public:
  RecordedWriter(PromptWriter& writer, SearchJournal& journal)
      : writer_(writer), journal_(journal) {}
  Rewriting rewrite(const std::string& prompt, std::span<const Mistake> mistakes, size_t count,
                    size_t round) override;
  std::vector<std::string> take_back_one(const std::string& prompt,
                                         const std::string& in_use) const override {
    return writer_.take_back_one(prompt, in_use);
  }

 private:
  PromptWriter& writer_;
  SearchJournal& journal_;
};

}  // namespace l2a
