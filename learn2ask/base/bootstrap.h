// The bootstrap behind every interval: whole sessions drawn with replacement, since the turns of
// one session are not independent.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "base/json.h"
#include "base/rng.h"

namespace l2a {

struct BootstrapOptions {
  size_t resamples = 2000;
  uint64_t seed = 1;
};

// A number with its 95% percentile interval over resampled sessions. Resamples in which it is
// undefined (no stop sample drawn) are left out of the interval.
struct Estimate {
  double value = 0, low = 0, high = 0;
  size_t count = 0;  // replies that it rests on
};

// Calls `use` with the indices of each resample: n of [0, n), drawn with replacement. The same
// options draw the same indices.
template <class Use>
void resample(size_t n, const BootstrapOptions& options, const Use& use) {
  Rng rng = Rng::stream(options.seed, "bootstrap");
  std::vector<size_t> drawn(n);
  for (size_t r = 0; r < options.resamples; ++r) {
    for (size_t& index : drawn) index = rng.below(n);
    use(drawn);
  }
}

struct Interval {
  double low, high;
};

// The middle 95% of the values, linear between neighbours; sorts them. `fallback` at both ends when
// there is none.
Interval interval_95(std::vector<double>& values, double fallback);

// {"value", "low", "high", "count"}, or null.
Json to_json(const std::optional<Estimate>& estimate);

// Statistics of the sum of `parts`, one a session, each with its interval over parts drawn anew;
// nullopt where one is undefined for all of them. `add_to(sum, part)` adds up, from `nothing` on;
// every statistic sees the same draws. `count` is what the estimates rest on.
template <class Sum, class Add, size_t N>
std::array<std::optional<Estimate>, N> estimate_sums(
    std::span<const Sum> parts, const Sum& nothing, const Add& add_to,
    const std::array<std::optional<double> (*)(const Sum&), N>& statistics, size_t count,
    const BootstrapOptions& options) {
  std::array<std::vector<double>, N> resampled;
  resample(parts.size(), options, [&](const std::vector<size_t>& drawn) {
    Sum sum = nothing;
    for (const size_t index : drawn) add_to(sum, parts[index]);
    for (size_t s = 0; s < N; ++s) {
      if (const auto value = statistics[s](sum)) resampled[s].push_back(*value);
    }
  });
  Sum all = nothing;
  for (const Sum& part : parts) add_to(all, part);
  std::array<std::optional<Estimate>, N> estimates;
  for (size_t s = 0; s < N; ++s) {
    const auto value = statistics[s](all);
    if (!value) continue;
    const Interval interval = interval_95(resampled[s], *value);
    estimates[s] = {*value, interval.low, interval.high, count};
  }
  return estimates;
}

}  // namespace l2a
