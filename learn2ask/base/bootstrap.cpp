#include "base/bootstrap.h"

#include <algorithm>
#include <cmath>

namespace l2a {
namespace {

// Quantile q of sorted values, linear between neighbours.
double quantile(const std::vector<double>& sorted, double q) {
  const double at = q * static_cast<double>(sorted.size() - 1);
  const size_t below = static_cast<size_t>(std::floor(at));
  const size_t above = std::min(below + 1, sorted.size() - 1);
  return sorted[below] + (at - static_cast<double>(below)) * (sorted[above] - sorted[below]);
}

}  // namespace

Interval interval_95(std::vector<double>& values, double fallback) {
  if (values.empty()) return {fallback, fallback};
  std::sort(values.begin(), values.end());
  return {quantile(values, 0.025), quantile(values, 0.975)};
}

Json to_json(const std::optional<Estimate>& estimate) {
  if (!estimate) return nullptr;
  return {{"value", estimate->value},
          {"low", estimate->low},
          {"high", estimate->high},
          {"count", estimate->count}};
}

}  // namespace l2a
