#include "llm/rate_limit.h"

#include <algorithm>
#include <vector>

#include <gtest/gtest.h>

#include "base/rng.h"

namespace l2a {
namespace {

using Time = RateLimit::Time;
using Seconds = std::chrono::duration<double>;

constexpr Time kStart = Time{} + std::chrono::hours(7);

struct Sent {
  double second = 0;  // since kStart
  double units = 0;
};

// Calls of 1 to `largest` units, each sent as soon as it may go, for so many simulated seconds.
std::vector<Sent> send_for(double seconds, double per_minute, double largest, Rng& rng) {
  RateLimit limit(per_minute, kStart);
  std::vector<Sent> all;
  for (Time now = kStart; Seconds(now - kStart).count() < seconds;) {
    const Time ready = limit.ready_at(now);
    if (ready > now) {
      now = ready;
      continue;
    }
    const double units = 1 + rng.uniform() * (largest - 1);
    limit.take(units);
    all.push_back({Seconds(now - kStart).count(), units});
  }
  return all;
}

// The most that any window holds over rate x (its length + 2 s); looks at every pair of calls.
double worst_excess(const std::vector<Sent>& all, double per_second) {
  double worst = 0;
  for (size_t first = 0; first < all.size(); ++first) {
    double sum = 0;
    for (size_t last = first; last < all.size(); ++last) {
      sum += all[last].units;
      worst = std::max(worst, sum - per_second * (all[last].second - all[first].second + 2));
    }
  }
  return worst;
}

TEST(RateLimit, HoldsInEveryWindowAndIsUsedUp) {
  const struct {
    double per_minute, largest;
  } table[] = {
      {7, 1},          {60, 1}, {300, 1},  // requests
      {90'000, 2'000},                     // tokens
      {6'000, 4'000},                      // calls larger than what two seconds bring
  };
  constexpr double kSeconds = 600;
  Rng rng(1);
  for (const auto& row : table) {
    const double per_second = row.per_minute / 60;
    const std::vector<Sent> all = send_for(kSeconds, row.per_minute, row.largest, rng);
    double units = 0;
    for (const Sent& sent : all) units += sent.units;
    EXPECT_LE(worst_excess(all, per_second), row.largest + 1e-6) << row.per_minute;
    EXPECT_GE(units, 0.95 * per_second * kSeconds) << row.per_minute;
  }
}

TEST(RateLimit, SavesNoMoreThanTwoSecondsWhileIdle) {
  RateLimit limit(600, kStart);
  for (const Time now : {kStart, kStart + std::chrono::hours(1), kStart + std::chrono::hours(5)}) {
    int at_once = 0;
    while (at_once < 1000 && limit.ready_at(now) <= now) {
      limit.take(1);
      ++at_once;
    }
    EXPECT_GE(at_once, 20);
    EXPECT_LE(at_once, 21);
  }
}

TEST(RateLimit, LetsACallGoThatIsLargerThanTheLimit) {
  RateLimit limit(60, kStart);
  EXPECT_LE(limit.ready_at(kStart), kStart);
  limit.take(102);  // two of them were saved
  const Time ready = limit.ready_at(kStart);
  EXPECT_NEAR(Seconds(ready - kStart).count(), 100, 1e-3);
  EXPECT_GT(limit.ready_at(kStart + std::chrono::seconds(99)), kStart + std::chrono::seconds(99));
  const Time later = kStart + std::chrono::seconds(101);
  EXPECT_LE(limit.ready_at(later), later);
}

TEST(RateLimit, AskingDoesNotCount) {
  RateLimit limit(60, kStart);
  limit.take(12);
  const Time ready = limit.ready_at(kStart);
  for (int ms = 0; ms < 9'000; ms += 10) {
    const Time again = limit.ready_at(kStart + std::chrono::milliseconds(ms));
    ASSERT_NEAR(Seconds(again - ready).count(), 0, 1e-3) << ms;
  }
}

TEST(RateLimit, OfNothingIsNoLimit) {
  RateLimit limit(0, kStart);
  for (int i = 0; i < 100; ++i) {
    EXPECT_LE(limit.ready_at(kStart), kStart);
    limit.take(1e12);
  }
}

}  // namespace
}  // namespace l2a
