#include "calibrate/prompt_search.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

namespace l2a {
namespace {

constexpr size_t kFewestItems = 10, kFewestHeldOut = 5;
constexpr double kLuck = 0.05;     // of a winner that is none
constexpr size_t kFirstItems = 8;  // of the race; then twice as many each time

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
struct Racer {
  std::string prompt;
  std::map<size_t, Outcome> outcomes;
};

class Search {
 public:
  Search(std::span<const SearchItem> items, PromptTask& task, PromptWriter& writer,
         const PromptSearchOptions& options)
      : items_(items),
        task_(task),
        writer_(writer),
        options_(options),
        split_(split_items(items, options)) {
    left_ = static_cast<size_t>(options_.max_outcomes) - 2 * split_.held_out.size();
  }

  PromptSearchResult run(const std::string& in_use) {
    Racer best{in_use, {}};
    extend(best, split_.search);
    keep(best, 0);
    std::set<std::string> tried = {in_use};
    for (size_t round = 1; round <= static_cast<size_t>(options_.rounds); ++round) {
      const auto mistakes = mistakes_of(best);
      if (mistakes.empty()) break;
      std::vector<Racer> racers;
      for (std::string& prompt : writer_.rewrite(best.prompt, mistakes,
                                                 static_cast<size_t>(options_.candidates), round)) {
        if (tried.insert(prompt).second) racers.push_back({std::move(prompt), {}});
      }
      race(racers, best, round);
      if (left_ < kFirstItems) break;
    }
    return decide(in_use, best);
  }

 private:
  // Tries it on those of `items` that it has not been tried on.
  void extend(Racer& racer, std::span<const size_t> items) {
    std::vector<size_t> missing;
    for (const size_t item : items) {
      if (!racer.outcomes.contains(item)) missing.push_back(item);
    }
    if (missing.empty()) return;
    auto outcomes = task_.run(racer.prompt, missing);
    check(outcomes.size() == missing.size(), "PromptTask: an outcome for each item");
    for (size_t i = 0; i < missing.size(); ++i) {
      racer.outcomes[missing[i]] = std::move(outcomes[i]);
    }
    asked_ += missing.size();
    left_ -= std::min(left_, missing.size());
  }

  static double loss(const Racer& racer, std::span<const size_t> items) {
    double sum = 0;
    for (const size_t item : items) sum += racer.outcomes.at(item).loss;
    return sum / static_cast<double>(items.size());
  }

  std::vector<Mistake> mistakes_of(const Racer& racer) const {
    std::vector<Mistake> mistakes;
    for (const size_t item : split_.search) {
      const Outcome& outcome = racer.outcomes.at(item);
      if (outcome.loss > 0) mistakes.push_back({item, outcome});
    }
    return mistakes;
  }

  // Items in the order of the race: in turn one that `best` gets wrong and one that it gets right,
  // as long as there are both. What mends nothing drops out first, and what breaks others next.
  std::vector<size_t> race_order(const Racer& best) const {
    std::vector<size_t> wrong, right, order;
    for (const size_t item : split_.search) {
      (best.outcomes.at(item).loss > 0 ? wrong : right).push_back(item);
    }
    for (size_t i = 0; i < std::max(wrong.size(), right.size()); ++i) {
      if (i < wrong.size()) order.push_back(wrong[i]);
      if (i < right.size()) order.push_back(right[i]);
    }
    return order;
  }

  void race(std::vector<Racer>& racers, Racer& best, size_t round) {
    const auto order = race_order(best);
    for (size_t items = std::min(kFirstItems, order.size());;
         items = std::min(2 * items, order.size())) {
      const auto some = std::span(order).first(items);
      const double to_beat = loss(best, some);
      std::vector<std::pair<double, size_t>> nearer;  // loss, racer
      for (size_t r = 0; r < racers.size(); ++r) {
        if (left_ < items) {  // it gets no further
          keep(racers[r], round);
          continue;
        }
        extend(racers[r], some);
        const double its_loss = loss(racers[r], some);
        if (its_loss < to_beat) nearer.emplace_back(its_loss, r);
        if (items == order.size() || its_loss >= to_beat) keep(racers[r], round);
      }
      std::sort(nearer.begin(), nearer.end());
      if (items == order.size()) {
        if (!nearer.empty()) best = std::move(racers[nearer.front().second]);
        return;
      }
      if (nearer.empty()) return;
      const size_t stay = (nearer.size() + 1) / 2;
      std::vector<Racer> staying;
      for (size_t i = 0; i < nearer.size(); ++i) {
        Racer& racer = racers[nearer[i].second];
        if (i < stay) {
          staying.push_back(std::move(racer));
        } else {
          keep(racer, round);
        }
      }
      racers = std::move(staying);
    }
  }

  void keep(const Racer& racer, size_t round) {
    if (racer.outcomes.empty()) return;
    std::vector<size_t> items;
    for (const auto& [item, outcome] : racer.outcomes) items.push_back(item);
    trials_.push_back({racer.prompt, round, items.size(), loss(racer, items)});
  }

  PromptSearchResult decide(const std::string& in_use, const Racer& best) {
    PromptSearchResult result{.prompt = in_use, .best = best.prompt, .trials = std::move(trials_)};
    if (best.prompt != in_use) test_on_held_out(in_use, result);
    result.outcomes = asked_;
    result.held_out = split_.held_out.size();
    return result;
  }

  void test_on_held_out(const std::string& in_use, PromptSearchResult& result) {
    Racer before{in_use, {}}, after{result.best, {}};
    extend(before, split_.held_out);
    extend(after, split_.held_out);
    struct Gains {
      double sum = 0;
      size_t items = 0;
    };
    std::map<std::string, Gains> by_session;
    Gains all;
    for (const size_t item : split_.held_out) {
      const double gain = before.outcomes.at(item).loss - after.outcomes.at(item).loss;
      for (Gains* gains : {&by_session[items_[item].session], &all}) {
        gains->sum += gain;
        ++gains->items;
      }
    }
    std::vector<Gains> sessions;
    for (const auto& [session, gains] : by_session) sessions.push_back(gains);
    std::vector<double> means;
    resample(sessions.size(), {.seed = options_.seed}, [&](const std::vector<size_t>& drawn) {
      Gains sum;
      for (const size_t index : drawn) {
        sum.sum += sessions[index].sum;
        sum.items += sessions[index].items;
      }
      means.push_back(sum.sum / static_cast<double>(sum.items));
    });
    const auto without =
        std::count_if(means.begin(), means.end(), [](double gain) { return !(gain > 0); });
    result.share_without_gain = static_cast<double>(without) / static_cast<double>(means.size());
    const double mean = all.sum / static_cast<double>(all.items);
    const Interval interval = interval_95(means, mean);
    result.gain = {mean, interval.low, interval.high, all.items};
    result.improved = *result.share_without_gain < kLuck;
    if (result.improved) result.prompt = result.best;
  }

  std::span<const SearchItem> items_;
  PromptTask& task_;
  PromptWriter& writer_;
  const PromptSearchOptions& options_;
  const Split split_;
  size_t left_ = 0;  // outcomes that the search may still ask for
  size_t asked_ = 0;
  std::vector<PromptTrial> trials_;
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

PromptSearchResult search_prompt(const std::string& in_use, std::span<const SearchItem> items,
                                 PromptTask& task, PromptWriter& writer,
                                 const PromptSearchOptions& options) {
  require_searchable(items, options);
  return Search(items, task, writer, options).run(in_use);
}

}  // namespace l2a
