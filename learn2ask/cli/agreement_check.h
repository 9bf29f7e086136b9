// Whether a grader agrees with people well enough to reward anything.
#pragma once

#include <string>

#include "cli/reward_setup.h"

namespace l2a {

// Throws Failure where check_agreement() would for want of a measurement: the part of it that needs
// no grader, for before one is made.
void require_measured(const RewardOptions& options);

// Throws Failure where the lower end of the grader's kappa with people (linear weights, 95%) is
// below options.min_agreement, or where nobody has measured it. It is looked for in
// options.agreement, which `learn2ask calibrate report` wrote, under the grader's name; for match
// and words without such a file, in their thresholds. A min_agreement of -1 asks for nothing; nor
// are labels and truth asked without such a file: what they say is what others are measured by.
void check_agreement(const RewardOptions& options, const std::string& grader_name);

}  // namespace l2a
