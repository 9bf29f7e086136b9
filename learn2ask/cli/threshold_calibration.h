// Fits the thresholds of the graders match and words on questions that people labelled with what
// they ask for, and measures on others how good they are. No language model is asked.
#pragma once

#include <string>

namespace l2a {

struct ThresholdFiles {
  std::string train, dev;  // sessions with labels (reward/labelled_questions.h)
  std::string out;         // folder
};

// Leaves OUT/thresholds.yaml (reward/thresholds.h) and OUT/report.txt, and prints the report.
// Throws Failure: a file that is missing; labels of which no fit can be made.
void calibrate_thresholds(const ThresholdFiles& files);

}  // namespace l2a
