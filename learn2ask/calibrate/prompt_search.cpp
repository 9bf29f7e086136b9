#include "calibrate/prompt_search.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <set>

namespace l2a {
namespace {

constexpr size_t kFewestLabels = 10, kFewestHeldOut = 5;
constexpr double kLuck = 0.05;     // of a winner that is none
constexpr size_t kFirstItems = 8;  // of the race; then twice as many each time

struct Split {
  std::vector<size_t> search, held_out;
};

// Each class of labels is divided alike, so that a rare one is not all in one part.
Split split_gold(std::span<const double> gold, const PromptSearchOptions& options) {
  std::map<double, std::vector<size_t>> classes;
  for (size_t i = 0; i < gold.size(); ++i) classes[gold[i]].push_back(i);
  Rng rng = Rng::stream(options.seed, "gold split");
  Split split;
  for (auto& [label, items] : classes) {
    rng.shuffle(items);
    const auto held_out = static_cast<size_t>(
        std::llround(options.held_out_share * static_cast<double>(items.size())));
    split.held_out.insert(split.held_out.end(), items.begin(),
                          items.begin() + static_cast<std::ptrdiff_t>(held_out));
    split.search.insert(split.search.end(), items.begin() + static_cast<std::ptrdiff_t>(held_out),
                        items.end());
  }
  rng.shuffle(split.search);
  return split;
}

// A prompt with the verdicts that it gave so far.
struct Racer {
  std::string prompt;
  std::map<size_t, std::optional<double>> verdicts;
};

class Search {
 public:
  Search(std::span<const double> gold, PromptJudge& judge, PromptWriter& writer,
         const PromptSearchOptions& options)
      : gold_(gold),
        judge_(judge),
        writer_(writer),
        options_(options),
        split_(split_gold(gold, options)) {
    if (split_.held_out.size() < kFewestHeldOut || split_.search.empty()) {
      fail_input("calibrate: " + std::to_string(split_.held_out.size()) +
                 " gold labels are held out of the search, and at least " +
                 std::to_string(kFewestHeldOut) +
                 " have to decide: label more, or hold a larger share out");
    }
    const size_t least = split_.search.size() + 2 * split_.held_out.size();
    if (options_.max_verdicts < static_cast<int64_t>(least)) {
      fail_input("max_verdicts: " + std::to_string(options_.max_verdicts) +
                 ": judging the gold labels once takes " + std::to_string(least));
    }
    left_ = static_cast<size_t>(options_.max_verdicts) - 2 * split_.held_out.size();
  }

  PromptSearchResult run(const std::string& in_use) {
    Racer best{in_use, {}};
    extend(best, split_.search);
    keep(best, 0);
    std::set<std::string> tried = {in_use};
    for (size_t round = 1; round <= static_cast<size_t>(options_.rounds); ++round) {
      const auto wrong = disagreements(best);
      if (wrong.empty()) break;
      std::vector<Racer> racers;
      for (std::string& prompt :
           writer_.rewrite(best.prompt, wrong, static_cast<size_t>(options_.candidates))) {
        if (tried.insert(prompt).second) racers.push_back({std::move(prompt), {}});
      }
      race(racers, best, round);
      if (left_ < kFirstItems) break;
    }
    return decide(in_use, best);
  }

 private:
  // Verdicts on those of `items` that it has none on.
  void extend(Racer& racer, std::span<const size_t> items) {
    std::vector<size_t> missing;
    for (const size_t item : items) {
      if (!racer.verdicts.contains(item)) missing.push_back(item);
    }
    const auto verdicts = judge_.judge(racer.prompt, missing);
    check(verdicts.size() == missing.size(), "PromptJudge: a verdict for each item");
    for (size_t i = 0; i < missing.size(); ++i) racer.verdicts[missing[i]] = verdicts[i];
    asked_ += missing.size();
    left_ -= std::min(left_, missing.size());
  }

  double loss(const Racer& racer, std::span<const size_t> items) const {
    double sum = 0;
    for (const size_t item : items) sum += verdict_loss(gold_[item], racer.verdicts.at(item));
    return sum / static_cast<double>(items.size());
  }

  std::vector<Disagreement> disagreements(const Racer& racer) const {
    std::vector<Disagreement> wrong;
    for (const size_t item : split_.search) {
      const auto& verdict = racer.verdicts.at(item);
      if (verdict_loss(gold_[item], verdict) > 0) wrong.push_back({item, gold_[item], verdict});
    }
    return wrong;
  }

  // Items in the order of the race: in turn one that `best` gets wrong and one that it gets right,
  // as long as there are both. What mends nothing drops out first, and what breaks others next.
  std::vector<size_t> race_order(const Racer& best) const {
    std::vector<size_t> wrong, right, order;
    for (const size_t item : split_.search) {
      const bool is_wrong = verdict_loss(gold_[item], best.verdicts.at(item)) > 0;
      (is_wrong ? wrong : right).push_back(item);
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
    if (racer.verdicts.empty()) return;
    std::vector<size_t> items;
    for (const auto& [item, verdict] : racer.verdicts) items.push_back(item);
    trials_.push_back({racer.prompt, round, items.size(), loss(racer, items)});
  }

  PromptSearchResult decide(const std::string& in_use, const Racer& best) {
    PromptSearchResult result{.prompt = in_use, .best = best.prompt, .trials = std::move(trials_)};
    if (best.prompt != in_use) test_on_held_out(in_use, result);
    result.verdicts = asked_;
    return result;
  }

  void test_on_held_out(const std::string& in_use, PromptSearchResult& result) {
    Racer before{in_use, {}}, after{result.best, {}};
    extend(before, split_.held_out);
    extend(after, split_.held_out);
    std::vector<double> gains;
    for (const size_t item : split_.held_out) {
      gains.push_back(verdict_loss(gold_[item], before.verdicts.at(item)) -
                      verdict_loss(gold_[item], after.verdicts.at(item)));
    }
    const auto mean = [](const std::vector<double>& values) {
      return std::accumulate(values.begin(), values.end(), 0.0) /
             static_cast<double>(values.size());
    };
    std::vector<double> means, drawn_gains(gains.size());
    resample(gains.size(), {.seed = options_.seed}, [&](const std::vector<size_t>& drawn) {
      for (size_t i = 0; i < drawn.size(); ++i) drawn_gains[i] = gains[drawn[i]];
      means.push_back(mean(drawn_gains));
    });
    const auto without =
        std::count_if(means.begin(), means.end(), [](double gain) { return !(gain > 0); });
    result.share_without_gain = static_cast<double>(without) / static_cast<double>(means.size());
    const Interval interval = interval_95(means, mean(gains));
    result.gain = {mean(gains), interval.low, interval.high, gains.size()};
    result.improved = *result.share_without_gain < kLuck;
    if (result.improved) result.prompt = result.best;
  }

  std::span<const double> gold_;
  PromptJudge& judge_;
  PromptWriter& writer_;
  const PromptSearchOptions& options_;
  const Split split_;
  size_t left_ = 0;  // verdicts that the search may still ask for
  size_t asked_ = 0;
  std::vector<PromptTrial> trials_;
};

}  // namespace

double verdict_loss(double gold, const std::optional<double>& verdict) {
  return verdict ? std::abs(*verdict - gold) : 1;
}

PromptSearchResult search_prompt(const std::string& in_use, std::span<const double> gold,
                                 PromptJudge& judge, PromptWriter& writer,
                                 const PromptSearchOptions& options) {
  if (gold.size() < kFewestLabels) {
    fail_input("calibrate: " + std::to_string(gold.size()) + " gold labels: at least " +
               std::to_string(kFewestLabels) + " are needed");
  }
  return Search(gold, judge, writer, options).run(in_use);
}

}  // namespace l2a
