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
  size_t disputed = 0;      // decisions and targets left out: people say different things
  size_t past_stop = 0;     // turns left out: after one at which people stop, where labels end
};

// Of extract items all that was still to be asked: the claims that are right and what is missing,
// in the order in which it was said, as far as people do not stop before. What is missing has the
// expert's last question before it, by `forms`, and where the expert asked nothing all that the
// expert said there. Of stop items the decision. Items that nobody has said everything of are left
// out.
GoldOverrides gold_overrides(std::span<const CalibrationItem> items, const GoldLabels& labels,
                             const QuestionForms& forms);

}  // namespace l2a
