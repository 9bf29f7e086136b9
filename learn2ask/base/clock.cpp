#include "base/clock.h"

#include <cmath>
#include <ctime>

#include <fmt/format.h>

namespace l2a {

const Clock& Clock::system() {
  struct SystemClock final : Clock {
    std::chrono::steady_clock::time_point now() const override {
      return std::chrono::steady_clock::now();
    }
  };
  static const SystemClock clock;
  return clock;
}

std::string utc_timestamp() {
  const std::time_t now = std::time(nullptr);
  std::tm utc{};
  gmtime_r(&now, &utc);
  char text[32];
  return {text, std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &utc)};
}

std::string format_duration(std::chrono::duration<double> d) {
  if (d.count() < 59.95) return fmt::format("{:.1f} s", d.count());
  const int64_t seconds = std::llround(d.count());
  if (seconds < 3600) return fmt::format("{} min {:02} s", seconds / 60, seconds % 60);
  const int64_t minutes = (seconds + 30) / 60;
  return fmt::format("{} h {:02} min", minutes / 60, minutes % 60);
}

}  // namespace l2a
