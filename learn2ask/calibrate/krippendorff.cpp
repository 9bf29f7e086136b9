#include "calibrate/krippendorff.h"

#include <numeric>

#include "base/error.h"

namespace l2a {

void Coincidences::add_item(std::span<const size_t> values) {
  if (values.size() < 2) return;
  const double weight = 1 / static_cast<double>(values.size() - 1);
  for (size_t i = 0; i < values.size(); ++i) {
    for (size_t j = 0; j < values.size(); ++j) {
      if (i != j) counts_[values[i] * classes_ + values[j]] += weight;
    }
  }
}

void Coincidences::add(const Coincidences& other) {
  check(classes_ == other.classes_, "Coincidences: the same classes");
  for (size_t i = 0; i < counts_.size(); ++i) counts_[i] += other.counts_[i];
}

std::optional<double> Coincidences::ordinal_alpha() const {
  std::vector<double> margins(classes_);
  for (size_t c = 0; c < classes_; ++c) {
    const auto row = std::span(counts_).subspan(c * classes_, classes_);
    margins[c] = std::accumulate(row.begin(), row.end(), 0.0);
  }
  const double n = std::accumulate(margins.begin(), margins.end(), 0.0);

  double observed = 0, expected = 0;
  for (size_t c = 0; c < classes_; ++c) {
    double between = margins[c] / 2;  // values from the middle of class c to that of class k
    for (size_t k = c + 1; k < classes_; ++k) {
      const double distance = between + margins[k] / 2;
      observed += counts_[c * classes_ + k] * distance * distance;
      expected += margins[c] * margins[k] * distance * distance;
      between += margins[k];
    }
  }
  if (!(expected > 0)) return std::nullopt;
  return 1 - (n - 1) * observed / expected;
}

}  // namespace l2a
