// The bootstrap behind every interval: whole sessions drawn with replacement, since the turns of
// one session are not independent.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

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

}  // namespace l2a
