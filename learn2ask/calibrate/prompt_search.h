// Auto-Prompt: searches for the prompt that does best on a few items for which people said what is
// right, or on contexts whose reward says it.
//
// The items are split in two, by session and class by class. On the one part the search goes on in
// rounds: a writer is shown what the best prompt so far does badly and proposes others; these race
// against the best one (successive halving), first on a few items, half of which it does badly, and
// only those that do better go on to more items. Of the winner of a race every change to the prompt
// in use is taken back that these items do not miss: what came along with what helps may harm where
// none of them shows it. The other part is never seen by the search: what comes out takes the place
// of the prompt in use only if it is better there, by a gain whose 95% interval (paired bootstrap)
// lies above 0.
//
// Sources: arXiv 2510.25441 names the step and does not publish it; racing: Jamieson and Talwalkar,
// AISTATS 2016 (successive halving); the critique-then-rewrite writer: arXiv 2305.03495.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/bootstrap.h"
#include "base/config.h"

namespace l2a {

// One item to try prompts on.
struct SearchItem {
  std::string session;  // items of one are held out together
  std::string stratum;  // each is divided alike, so that a rare one is not all in one part
};

// What came of one item with some prompt.
struct Outcome {
  double loss = 0;   // in [0, 1]; 1 where nothing usable came
  std::string said;  // what came, in a line, for the writer
};
struct Mistake {
  size_t item = 0;
  Outcome outcome;
};

// What a prompt is for.
class PromptTask {
 public:
  virtual ~PromptTask() = default;
  // The outcome of each item with this prompt. The search asks for an item once at most with each.
  virtual std::vector<Outcome> run(const std::string& prompt, std::span<const size_t> items) = 0;
};

// What came of rewriting a prompt.
struct RefusedPrompt {
  std::string prompt;  // or, of a long one, its beginning
  std::string reason;
};
struct Rewriting {
  std::vector<std::string> prompts;
  std::vector<RefusedPrompt> refused = {};  // whose form is wrong: never tried
};

// Proposes prompts.
class PromptWriter {
 public:
  virtual ~PromptWriter() = default;
  // At most `count` others than `prompt`, which does the items of `mistakes` badly. `round` counts
  // from 1: what is random about it depends on the round, and not on what was asked before.
  virtual Rewriting rewrite(const std::string& prompt, std::span<const Mistake> mistakes,
                            size_t count, size_t round) = 0;
  // `prompt` with one of its changes to `in_use` taken back, for each that can be: the first of
  // them, the second, and so on. Empty where there is none.
  virtual std::vector<std::string> take_back_one(const std::string& prompt,
                                                 const std::string& in_use) const = 0;
};

struct PromptSearchOptions {
  int64_t rounds = 30;
  int64_t candidates = 16;
  int64_t max_outcomes = 10'000;
  double held_out_share = 0.4;
  uint64_t seed = 1;

  template <class Visitor>
  void visit(Visitor& v) {
    v("rounds", rounds, Range{1, 10'000}, "of rewriting the best prompt so far");
    v("candidates", candidates, Range{1, 100}, "prompts that the writer proposes in a round");
    v("max_outcomes", max_outcomes, Range{1, 1e9},
      "items that all prompts together may be tried on: verdicts, readings, replies");
    v("held_out_share", held_out_share, Range{0.1, 0.9},
      "of the items, which decide at the end and are not searched with");
    v("seed", seed, Range{0, 1e15}, "of the split and the order of items");
  }
};

// A prompt that could be tried.
struct PromptTrial {
  std::string prompt;
  size_t round = 0;                 // 0: the one in use
  size_t items = 0;                 // of the search part that it was tried on
  std::optional<double> loss = {};  // mean over these; none where there are none
};
struct RefusedTrial {
  RefusedPrompt refused;
  size_t round = 0;
};

struct PromptSearchResult {
  bool improved = false;
  std::string prompt;  // to be used: the winner if it improved, else the one in use
  std::string best;    // what came out of the search part, whatever became of it
  // Loss of the prompt in use less that of `best`, on the items that the search never saw. None
  // where `best` is the one in use.
  std::optional<Estimate> gain = {};
  std::vector<PromptTrial> trials = {};
  std::vector<RefusedTrial> refused = {};
  size_t outcomes = 0;  // asked for in all
  size_t held_out = 0;  // items
};

// Throws Failure (kInvalidInput) for fewer than 10 items or 5 sessions held out, and for a budget
// that cannot try one prompt on them: what search_prompt() throws before it asks for anything.
void require_searchable(std::span<const SearchItem> items, const PromptSearchOptions& options);

// How many outcomes a search asks for in which the prompt in use does something badly and no
// candidate does better on the first items of its race.
size_t outcomes_of_short_races(std::span<const SearchItem> items,
                               const PromptSearchOptions& options);

// Deterministic, as far as task and writer are. Throws what require_searchable() throws.
PromptSearchResult search_prompt(const std::string& in_use, std::span<const SearchItem> items,
                                 PromptTask& task, PromptWriter& writer,
                                 const PromptSearchOptions& options);

}  // namespace l2a
