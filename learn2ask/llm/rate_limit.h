// At most so many requests and tokens a minute.
#pragma once

#include <chrono>

namespace l2a {

// A bucket that fills evenly and holds what two seconds bring. A call may go when the bucket is not
// in debt, and takes all its units at once: a call larger than the bucket has to be possible too.
// Over any time the sum is at most rate x (time + 2 s) and one call. Not thread-safe.
class RateLimit {
 public:
  using Time = std::chrono::steady_clock::time_point;
  RateLimit(double per_minute, Time now);  // 0: no limit

  // When the next call may go; not after `now` when it may go at once.
  Time ready_at(Time now);
  void take(double units);

 private:
  void fill(Time now);
  double per_second_, level_;
  Time filled_;
};

}  // namespace l2a
