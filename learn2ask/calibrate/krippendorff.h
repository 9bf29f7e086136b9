// Krippendorff's alpha for ordered classes: how far any number of people, each of whom judged some
// of the items, agree beyond chance.
//
// Source: Krippendorff, Computing Krippendorff's Alpha-Reliability (2011), sections C to E.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <vector>

namespace l2a {

// How often two values of one item met, each way round: an item of m values counts m times in all.
// Sums over items; those of several lists of items may be added up.
class Coincidences {
 public:
  explicit Coincidences(size_t classes) : classes_(classes), counts_(classes * classes) {}
  // The classes, in [0, classes), that one item was given; fewer than two say nothing.
  void add_item(std::span<const size_t> values);
  void add(const Coincidences& other);

  // 1: perfect agreement, 0: as by chance. nullopt: undefined, where no item has two values or all
  // of them are of one class.
  std::optional<double> ordinal_alpha() const;

 private:
  size_t classes_;
  std::vector<double> counts_;  // [classes, classes], symmetric
};

}  // namespace l2a
