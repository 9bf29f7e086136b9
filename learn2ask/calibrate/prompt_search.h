// Auto-Prompt: searches for the prompt whose verdicts come nearest to a few that people gave.
//
// The gold labels are split in two, class by class. On the one part the search goes on in rounds: a
// writer is shown what the best prompt so far gets wrong and proposes others; these race against
// the best one (successive halving), first on the items that it gets wrong, and only those that
// come nearer go on to more items. The other part is never seen by the search: the winner
// takes the place of the prompt in use only if it is better there in 95% of the resamples of the
// paired differences. So of 20 searches that found nothing but luck, one changes the prompt.
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

// One item that people labelled, by its place in the list of gold labels.
struct Disagreement {
  size_t item = 0;
  double gold = 0;
  std::optional<double> verdict;  // nullopt: none was given
};

// Judges gold items by a prompt. The search asks for an item once at most with each prompt.
class PromptJudge {
 public:
  virtual ~PromptJudge() = default;
  // A verdict on each item, in [0, 1]; nullopt where none could be given.
  virtual std::vector<std::optional<double>> judge(const std::string& prompt,
                                                   std::span<const size_t> items) = 0;
};

// Proposes prompts.
class PromptWriter {
 public:
  virtual ~PromptWriter() = default;
  // At most `count` others than `prompt`, which gets `wrong` wrong.
  virtual std::vector<std::string> rewrite(const std::string& prompt,
                                           std::span<const Disagreement> wrong, size_t count) = 0;
};

struct PromptSearchOptions {
  int64_t rounds = 12;
  int64_t candidates = 16;
  int64_t max_verdicts = 10'000;
  double held_out_share = 0.4;
  uint64_t seed = 1;

  template <class Visitor>
  void visit(Visitor& v) {
    v("rounds", rounds, Range{1, 10'000}, "of rewriting the best prompt so far");
    v("candidates", candidates, Range{1, 10'000}, "prompts that the writer proposes in a round");
    v("max_verdicts", max_verdicts, Range{1, 1e9}, "that the whole search may ask for");
    v("held_out_share", held_out_share, Range{0.1, 0.9},
      "of the gold labels, which decide at the end and are not searched with");
    v("seed", seed, Range{0, 1e15}, "of the split and the order of items");
  }
};

// A prompt that was tried.
struct PromptTrial {
  std::string prompt;
  size_t round = 0;     // 0: the one in use
  size_t verdicts = 0;  // items of the search part that it was tried on
  double loss = 0;      // mean over these
};

struct PromptSearchResult {
  bool improved = false;
  std::string prompt;  // to be used: the winner if it improved, else the one in use
  std::string best;    // the winner on the search part, whatever became of it
  // Loss of the prompt in use less the winner's, on the items that the search never saw; and the
  // share of the resamples in which that is not above 0. Without a winner there is neither.
  std::optional<Estimate> gain = {};
  std::optional<double> share_without_gain = {};
  std::vector<PromptTrial> trials = {};
  size_t verdicts = 0;  // asked for in all
};

// Loss of a verdict: its distance from the gold label; of none: 1.
double verdict_loss(double gold, const std::optional<double>& verdict);

// `gold`: people's verdicts in [0, 1]. Deterministic, as far as judge and writer are. Throws
// Failure (kInvalidInput) for fewer than 10 labels or 5 held out, and for a budget that cannot
// judge them by one prompt.
PromptSearchResult search_prompt(const std::string& in_use, std::span<const double> gold,
                                 PromptJudge& judge, PromptWriter& writer,
                                 const PromptSearchOptions& options);

}  // namespace l2a
