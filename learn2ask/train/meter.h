// What a step costs: seconds and memory.
#pragma once

#include <chrono>
#include <optional>

#include "base/clock.h"

namespace l2a {

// Seconds between laps.
class Stopwatch {
 public:
  explicit Stopwatch(const Clock& clock) : clock_(clock), last_(clock.now()) {}
  double lap() {
    const auto now = clock_.now();
    const double seconds = std::chrono::duration<double>(now - last_).count();
    last_ = now;
    return seconds;
  }

 private:
  const Clock& clock_;
  std::chrono::steady_clock::time_point last_;
};

// The most memory that this process has held, in MiB; nullopt where the system doesn't say.
std::optional<double> peak_memory_mib();

}  // namespace l2a
