// What people said of labels, as corrections of them: the lines that `label --overrides` reads
// (hindsight/overrides.h).
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "base/json.h"
#include "calibrate/calibration_item.h"
#include "calibrate/gold_label.h"
#include "hindsight/question.h"

namespace l2a {

struct GoldOverrides {
  std::vector<Json> lines;  // a turn each, in the order of the items
  // Items that are in none of them:
  size_t disputed = 0;   // people say different things
  size_t past_stop = 0;  // of turns after one at which people say stop, where labels end
};

// Of an extract item all that was still to be asked: the claims that are right and what is missing,
// in the order in which it was said. What is missing has the expert's last question before it, by
// `forms`, and where the expert asked nothing all that the expert said there. Of a stop item the
// decision. Items that nobody has said everything of are left out.
GoldOverrides gold_overrides(std::span<const CalibrationItem> items, const GoldLabels& labels,
                             const QuestionForms& forms);

}  // namespace l2a
