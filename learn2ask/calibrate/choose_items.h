// Which items are worth a person's time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "calibrate/calibration_item.h"

namespace l2a {

// One that people might judge.
struct Candidate {
  CalibrationItem item;
  double doubt = 0;     // how far those who judged it already differ, in [0, 1]
  std::string stratum;  // "verdict 0.5", "2 items": of each as many
};

// The distance of the highest and the lowest verdict; 0 where fewer than two gave one: a judge
// that failed differs from nobody.
double doubt_of(const CalibrationItem& item);

// At most `count`, no id twice: up to half of them those with the most doubt, the rest spread
// evenly over the strata; each with its id and why it was chosen, in random order. Deterministic.
std::vector<CalibrationItem> choose_items(std::vector<Candidate> candidates, size_t count,
                                          uint64_t seed);

}  // namespace l2a
