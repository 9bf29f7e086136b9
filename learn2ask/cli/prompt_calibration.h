// The search for a better prompt as a function: files and settings in, a folder with the result
// out.
#pragma once

#include <string>
#include <vector>

#include "base/config.h"
#include "calibrate/llm_prompt_writer.h"
#include "calibrate/prompt_search.h"
#include "cli/policy_setup.h"
#include "cli/reward_setup.h"
#include "cli/search_estimate.h"
#include "dialogue/policy.h"
#include "hindsight/label.h"
#include "hindsight/llm_extractor.h"

namespace l2a {

struct PromptCalibrationSettings : RewardSettings {
  PromptSearchOptions search;
  PromptWriterOptions writer;
  LabelOptions label;
  LlmExtractionOptions extraction;
  int64_t contexts = 100;
  PolicyOptions policy;
  DecodingOptions decoding;

  template <class Visitor>
  void visit(Visitor& v) {
    v.group("search", search);
    v.group("writer", writer);
    v.group("label", label);
    v.group("extraction", extraction);
    v("contexts", contexts, Range{10, 1e6}, "policy: contexts to reply in, drawn at random");
    v.group("policy", policy);
    v.group("decoding", decoding);
    RewardSettings::visit(v);
  }
};

struct PromptCalibrationFiles {
  std::string items;                // grade, extract
  std::vector<std::string> labels;  // of these
  std::string sessions;             // extract
  std::string contexts;             // policy
  std::string out;
};

// `what`: "grade", "extract" or "policy". Searches from the prompt in use, goes on where an earlier
// call was killed, and leaves in `files.out`: search.jsonl (all that was tried), search.json (what
// came of it), ledger.jsonl, and prompt.txt where a better prompt was found. Throws Failure.
void calibrate_prompt(const std::string& what, const PromptCalibrationSettings& settings,
                      const PromptCalibrationFiles& files);

// What that would ask of an endpoint; nothing is sent or written. Throws Failure as it does.
SearchEstimate estimate_prompt_calibration(const std::string& what,
                                           const PromptCalibrationSettings& settings,
                                           const PromptCalibrationFiles& files);

}  // namespace l2a
