#include "llm/rate_limit.h"

#include <algorithm>

namespace l2a {
namespace {

constexpr double kBurstSeconds = 2;

}  // namespace

RateLimit::RateLimit(double per_minute, Time now)
    : per_second_(per_minute / 60), level_(per_second_ * kBurstSeconds), filled_(now) {}

void RateLimit::fill(Time now) {
  const std::chrono::duration<double> passed = now - filled_;
  level_ = std::min(per_second_ * kBurstSeconds, level_ + per_second_ * passed.count());
  filled_ = now;
}

RateLimit::Time RateLimit::ready_at(Time now) {
  if (per_second_ == 0) return now;
  fill(now);
  if (level_ >= 0) return now;
  const std::chrono::duration<double> wait(-level_ / per_second_);
  return now + std::chrono::ceil<Time::duration>(wait);
}

void RateLimit::take(double units) {
  if (per_second_ != 0) level_ -= units;
}

}  // namespace l2a
