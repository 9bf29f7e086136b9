// Time, behind an interface so that tests decide what time it is.
#pragma once

#include <chrono>
#include <string>

namespace l2a {

class Clock {
 public:
  virtual ~Clock() = default;
  virtual std::chrono::steady_clock::time_point now() const = 0;
  static const Clock& system();
};

// "2026-01-31T12:00:00Z"
std::string utc_timestamp();

// "0.8 s", "12.3 s", "4 min 05 s", "2 h 03 min"
std::string format_duration(std::chrono::duration<double> d);

}  // namespace l2a
