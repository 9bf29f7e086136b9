// Agreement of graders for people (terminal, Markdown) and programs (JSON). Pure functions.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "base/json.h"
#include "eval/agreement.h"

namespace l2a {

// The agreements of one pair of graders on one split, in their order. Pointers into the argument.
struct AgreementGroup {
  std::string caption;  // graders, split, which replies, what an interval is
  std::vector<const Agreement*> rows;
};
std::vector<AgreementGroup> group_agreements(std::span<const Agreement> agreements);

std::string policies_text(const Agreement& agreement);  // "all models", or the policy's name

// For each pair the statistics, a line a policy, then every confusion table; "" for no pair.
std::string agreements_to_text(std::span<const Agreement> agreements);
std::string agreements_to_markdown(std::span<const Agreement> agreements);
// One object an agreement: graders, split, policies, the table (a list for each verdict of grader
// a), and for each statistic value, low, high, count (or null).
Json agreements_to_json(std::span<const Agreement> agreements);

}  // namespace l2a
