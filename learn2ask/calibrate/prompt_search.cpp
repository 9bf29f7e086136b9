#include "calibrate/prompt_search.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <set>

namespace l2a {
namespace {

constexpr size_t kFewestItems = 10, kFewestHeldOut = 5;
constexpr size_t kFirstItems = 8;   // of the race; then twice as many each time
constexpr double kRounding = 1e-9;  // of a mean loss

struct Split {
  std::vector<size_t> search, held_out;
};

Split split_items(std::span<const SearchItem> items, const PromptSearchOptions& options) {
  // Sessions by the stratum of their first item.
  std::map<std::string, std::vector<std::string>> strata;
  std::map<std::string, std::vector<size_t>> sessions;
  for (size_t i = 0; i < items.size(); ++i) {
    auto& of_session = sessions[items[i].session];
    if (of_session.empty()) strata[items[i].stratum].push_back(items[i].session);
    of_session.push_back(i);
  }
  Rng rng = Rng::stream(options.seed, "gold split");
  Split split;
  for (auto& [stratum, of_stratum] : strata) {
    rng.shuffle(of_stratum);
    const auto held_out = static_cast<size_t>(
        std::llround(options.held_out_share * static_cast<double>(of_stratum.size())));
    for (size_t s = 0; s < of_stratum.size(); ++s) {
      const auto& of_session = sessions.at(of_stratum[s]);
      auto& part = s < held_out ? split.held_out : split.search;
      part.insert(part.end(), of_session.begin(), of_session.end());
    }
  }
  rng.shuffle(split.search);
  return split;
}

// A prompt with what came of it so far.
struct Trial {
  std::string prompt;
  size_t round;
  std::map<size_t, Outcome> outcomes = {};
};

class Search {
 public:
  Search(const std::string& in_use, std::span<const SearchItem> items, PromptTask& task,
         PromptWriter& writer, const PromptSearchOptions& options)
      : items_(items),
        task_(task),
        writer_(writer),
        options_(options),
        split_(split_items(items, options)) {
    left_ = static_cast<size_t>(options_.max_outcomes) - 2 * split_.held_out.size();
    trial_of(in_use, 0);
  }

  PromptSearchResult run() {
    size_t best = kInUse;
    extend(best, split_.search);
    for (size_t round = 1; round <= static_cast<size_t>(options_.rounds); ++round) {
      const auto mistakes = mistakes_of(best);
      if (mistakes.empty()) break;
      const size_t winner = race(propose(best, mistakes, round), best);
      if (winner != best) best = take_back(winner, round);
      if (left_ < kFirstItems) break;
    }
    return decide(best);
  }

 private:
  static constexpr size_t kInUse = 0;  // its trial

  // Its trial, which is new if it was never tried.
  size_t trial_of(const std::string& prompt, size_t round) {
    const auto [known, is_new] = trial_of_prompt_.emplace(prompt, trials_.size());
    if (is_new) trials_.push_back({prompt, round});
    return known->second;
  }

  // Tries it on those of `items` that it has not been tried on.
  void extend(size_t trial, std::span<const size_t> items) {
    auto& known = trials_[trial].outcomes;
    std::vector<size_t> missing;
    for (const size_t item : items) {
      if (!known.contains(item)) missing.push_back(item);
    }
    if (missing.empty()) return;
    auto outcomes = task_.run(trials_[trial].prompt, missing);
    check(outcomes.size() == missing.size(), "PromptTask: an outcome for each item");
    for (size_t i = 0; i < missing.size(); ++i) known[missing[i]] = std::move(outcomes[i]);
    asked_ += missing.size();
    left_ -= std::min(left_, missing.size());
  }

  double loss(size_t trial, std::span<const size_t> items) const {
    double sum = 0;
    for (const size_t item : items) sum += trials_[trial].outcomes.at(item).loss;
    return sum / static_cast<double>(items.size());
  }

  bool is_better(size_t trial, size_t than, std::span<const size_t> items) const {
    return loss(trial, items) < loss(than, items) - kRounding;
  }

  std::vector<Mistake> mistakes_of(size_t trial) const {
    std::vector<Mistake> mistakes;
    for (const size_t item : split_.search) {
      const Outcome& outcome = trials_[trial].outcomes.at(item);
      if (outcome.loss > 0) mistakes.push_back({item, outcome});
    }
    return mistakes;
  }

  // Trials of what was never tried before.
  std::vector<size_t> propose(size_t best, std::span<const Mistake> mistakes, size_t round) {
    const auto written = writer_.rewrite(trials_[best].prompt, mistakes,
                                         static_cast<size_t>(options_.candidates), round);
    for (const RefusedPrompt& refused : written.refused) refused_.push_back({refused, round});
    std::vector<size_t> racers;
    for (const std::string& prompt : written.prompts) {
      const size_t tried = trials_.size();
      if (trial_of(prompt, round) == tried) racers.push_back(tried);
    }
    return racers;
  }

  // Items in the order of the race: in turn one that `best` gets wrong and one that it gets right,
  // as long as there are both. What mends nothing drops out first, and what breaks others next.
  std::vector<size_t> race_order(size_t best) const {
    std::vector<size_t> wrong, right, order;
    for (const size_t item : split_.search) {
      (trials_[best].outcomes.at(item).loss > 0 ? wrong : right).push_back(item);
    }
    for (size_t i = 0; i < std::max(wrong.size(), right.size()); ++i) {
      if (i < wrong.size()) order.push_back(wrong[i]);
      if (i < right.size()) order.push_back(right[i]);
    }
    return order;
  }

  // The racer that is better than `best` on the whole search part, and than the others; else
  // `best`.
  size_t race(std::vector<size_t> racers, size_t best) {
    const auto order = race_order(best);
    for (size_t items = std::min(kFirstItems, order.size());;
         items = std::min(2 * items, order.size())) {
      const auto some = std::span(order).first(items);
      std::vector<std::pair<double, size_t>> nearer;  // loss, racer
      for (const size_t racer : racers) {
        if (left_ < items) break;
        extend(racer, some);
        if (is_better(racer, best, some)) nearer.emplace_back(loss(racer, some), racer);
      }
      if (nearer.empty()) return best;
      std::sort(nearer.begin(), nearer.end());
      if (items == order.size()) return nearer.front().second;
      nearer.resize((nearer.size() + 1) / 2);
      racers.clear();
      for (const auto& [its_loss, racer] : nearer) racers.push_back(racer);
    }
  }

  // The trial less changes to the prompt in use until the search part misses each that is left.
  size_t take_back(size_t trial, size_t round) {
    std::set<size_t> seen = {trial};
    for (size_t at = 0, missed = 0;;) {
      const auto prompts = writer_.take_back_one(trials_[trial].prompt, trials_[kInUse].prompt);
      if (missed >= prompts.size() || left_ < split_.search.size()) return trial;
      at %= prompts.size();
      const size_t without = trial_of(prompts[at], round);
      extend(without, split_.search);
      if (!seen.insert(without).second || is_better(trial, without, split_.search)) {
        ++at;
        ++missed;
      } else {
        trial = without;
        missed = 0;
      }
    }
  }

  PromptSearchResult decide(size_t best) {
    const std::string& in_use = trials_[kInUse].prompt;
    PromptSearchResult result{.prompt = in_use, .best = trials_[best].prompt};
    if (best != kInUse) {
      result.gain = gain_on_held_out(best);
      result.improved = result.gain->low > 0;
      if (result.improved) result.prompt = result.best;
    }
    result.trials = trials_on_search_part();
    result.refused = refused_;
    result.outcomes = asked_;
    result.held_out = split_.held_out.size();
    return result;
  }

  Estimate gain_on_held_out(size_t best) {
    for (const size_t trial : {kInUse, best}) extend(trial, split_.held_out);
    struct Gains {
      double sum = 0;
      size_t items = 0;
    };
    const auto add = [](Gains& sum, const Gains& part) {
      sum.sum += part.sum;
      sum.items += part.items;
    };
    std::map<std::string, Gains> by_session;
    for (const size_t item : split_.held_out) {
      add(by_session[items_[item].session],
          {trials_[kInUse].outcomes.at(item).loss - trials_[best].outcomes.at(item).loss, 1});
    }
    std::vector<Gains> sessions;
    for (const auto& [session, gains] : by_session) sessions.push_back(gains);
    const auto mean = [](const Gains& gains) -> std::optional<double> {
      return gains.sum / static_cast<double>(gains.items);
    };
    return *estimate_sums(std::span<const Gains>(sessions), Gains{}, add, std::array{+mean},
                          split_.held_out.size(), {.seed = options_.seed})[0];
  }

  std::vector<PromptTrial> trials_on_search_part() const {
    std::vector<PromptTrial> trials;
    for (size_t trial = 0; trial < trials_.size(); ++trial) {
      std::vector<size_t> items;
      for (const size_t item : split_.search) {
        if (trials_[trial].outcomes.contains(item)) items.push_back(item);
      }
      trials.push_back({trials_[trial].prompt, trials_[trial].round, items.size()});
      if (!items.empty()) trials.back().loss = loss(trial, items);
    }
    return trials;
  }

  std::span<const SearchItem> items_;
  PromptTask& task_;
  PromptWriter& writer_;
  const PromptSearchOptions& options_;
  const Split split_;
  size_t left_ = 0;  // outcomes that the search may still ask for
  size_t asked_ = 0;
  std::vector<Trial> trials_;
  std::vector<RefusedTrial> refused_;
  std::map<std::string, size_t> trial_of_prompt_;
};

}  // namespace

void require_searchable(std::span<const SearchItem> items, const PromptSearchOptions& options) {
  if (items.size() < kFewestItems) {
    fail_input("calibrate: " + std::to_string(items.size()) +
               " items to try prompts on: at least " + std::to_string(kFewestItems) +
               " are needed");
  }
  const Split split = split_items(items, options);
  std::set<std::string> deciding;
  for (const size_t item : split.held_out) deciding.insert(items[item].session);
  if (deciding.size() < kFewestHeldOut || split.search.empty()) {
    fail_input("calibrate: the items of " + std::to_string(deciding.size()) +
               " sessions are held out of the search, and at least " +
               std::to_string(kFewestHeldOut) +
               " have to decide: label items of more sessions, or hold a larger share out");
  }
  const size_t least = split.search.size() + 2 * split.held_out.size();
  if (options.max_outcomes < static_cast<int64_t>(least)) {
    fail_input("max_outcomes: " + std::to_string(options.max_outcomes) +
               ": trying one prompt on the items takes " + std::to_string(least));
  }
}

size_t outcomes_of_short_races(std::span<const SearchItem> items,
                               const PromptSearchOptions& options) {
  const Split split = split_items(items, options);
  const size_t of_candidate = std::min(kFirstItems, split.search.size());
  const auto candidates = static_cast<size_t>(options.rounds * options.candidates);
  const size_t most = static_cast<size_t>(options.max_outcomes) - 2 * split.held_out.size();
  return std::min(most, split.search.size() + candidates * of_candidate);
}

PromptSearchResult search_prompt(const std::string& in_use, std::span<const SearchItem> items,
                                 PromptTask& task, PromptWriter& writer,
                                 const PromptSearchOptions& options) {
  require_searchable(items, options);
  return Search(in_use, items, task, writer, options).run();
}

}  // namespace l2a
