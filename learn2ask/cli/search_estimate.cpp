#include "cli/search_estimate.h"

#include "cli/grading_estimate.h"

namespace l2a {

SearchEstimate estimate_search(std::span<const SearchItem> items,
                               const PromptSearchOptions& options, const CallEstimate& trying_all,
                               const CallEstimate& criticising) {
  const CallEstimate writing = times(criticising, 2 * static_cast<double>(options.rounds));
  const auto with_outcomes = [&](double outcomes) {
    CallEstimate calls = times(trying_all, outcomes / static_cast<double>(items.size()));
    return calls += writing;
  };
  return {with_outcomes(static_cast<double>(outcomes_of_short_races(items, options))),
          with_outcomes(static_cast<double>(options.max_outcomes))};
}

CallEstimate counted_by(const std::function<void()>& ask,
                        const std::function<CallEstimate()>& so_far) {
  const CallEstimate before = so_far();
  try {
    ask();
  } catch (const Failure& failure) {
    if (failure.error.code != CountingClient::kCounted) throw;
  }
  CallEstimate counted = so_far();
  return counted += times(before, -1);
}

std::string to_text(const SearchEstimate& estimate) {
  return "where no candidate is better on its first items, about: " + to_text(estimate.short_race) +
         "\nwhere search.max_outcomes are tried, about: " + to_text(estimate.most);
}

}  // namespace l2a
