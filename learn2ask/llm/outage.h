// Holds all calls back while an endpoint is out or busy (a circuit breaker).
//
// After kOpensAfter failures in a row, or one with nothing else in flight, only probes are sent, at
// growing distance, until one is answered. A probe is a call of its own that any endpoint can
// answer: a request that always fails does not look like an outage. What failed once counts as
// failed again only when the endpoint has given a sign of life since: an outage takes one try of a
// request at most, however long it lasts.
#pragma once

#include <chrono>
#include <optional>

#include "llm/retry.h"

namespace l2a {

// Not thread-safe.
class Outage {
 public:
  using Time = std::chrono::steady_clock::time_point;
  using Seconds = std::chrono::duration<double>;
  static constexpr int64_t kOpensAfter = 5;

  explicit Outage(const LlmOptions& options) : options_(options) {}

  // Calls are made again after a time without any, which was no outage.
  void on_start(Time now) {
    if (since_) since_ = now;
  }
  // The endpoint answered a call, or refused that very call: it is there.
  void on_sign_of_life();
  // Of a call or of a probe; `alone`: nothing else is in flight. The same for an endpoint that is
  // busy, which also asks to be left alone for `wait`, or for as long as seems right.
  void on_failure(Time now, bool alone, Rng& jitter);
  void on_busy(Time now, bool alone, Seconds wait, Rng& jitter);
  // Nothing is sent for so long.
  void hold(Time now, Seconds wait);

  bool open() const { return failures_ >= kOpensAfter || probes_only_; }
  uint64_t signs_of_life() const { return signs_of_life_; }  // so far
  Time held_until() const { return held_until_; }
  // No sign of life for longer than max_outage_s.
  bool too_long(Time now) const;

 private:
  const LlmOptions& options_;
  // Since the last sign of life.
  int64_t failures_ = 0, busy_ = 0, waits_ = 0;
  bool probes_only_ = false;
  std::optional<Time> since_;
  uint64_t signs_of_life_ = 0;
  Time held_until_{};
};

}  // namespace l2a
