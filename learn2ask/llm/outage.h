// Holds all calls back while an endpoint is out or busy (a circuit breaker).
//
// After kOpensAfter failures in a row nothing but probes is sent, at growing distance, until one is
// answered. A probe is a call of its own that any endpoint can answer: a request that always fails
// does not look like an outage, and an outage costs no request its tries.
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
  void on_failure(Time now, Rng& jitter);  // of a call or of a probe
  void on_busy(Time now) { since_ = since_.value_or(now); }
  // Nothing is sent for so long.
  void hold(Time now, Seconds wait);

  bool open() const { return failures_ >= kOpensAfter; }
  Time held_until() const { return held_until_; }
  // No sign of life for longer than max_outage_s.
  bool too_long(Time now) const;

 private:
  const LlmOptions& options_;
  int64_t failures_ = 0;  // since the last sign of life
  std::optional<Time> since_;
  Time held_until_{};
};

}  // namespace l2a
