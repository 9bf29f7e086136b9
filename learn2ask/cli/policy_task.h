// System prompts tried on logged contexts: the mean reward of the policy's replies.
#pragma once

#include <string>
#include <vector>

#include "calibrate/prompt_search.h"
#include "cli/policy_setup.h"
#include "dialogue/policy.h"
#include "hindsight/sample.h"
#include "reward/fusion.h"
#include "train/reward_fn.h"

namespace l2a {

// Whether replies to it are tried.
bool is_replied_to(const Sample& sample);

// Loss: 1 less the share of the highest reward. A reply that cannot be graded is no loss: run()
// throws Failure (kUnavailable). Not thread-safe.
class PolicyTask final : public PromptTask {
 public:
  // Draws `contexts` of the labelled turns by `seed`. `policy` and what `reward` refers to must
  // outlive it; the policy's prompt is that of the last run(). Throws Failure where there is no
  // labelled turn.
  PolicyTask(PolicySetup& policy, RewardFn reward, Fusion fusion,
             std::vector<LabelledSession> sessions, size_t contexts, DecodingOptions decoding,
             uint64_t seed);
  std::vector<Outcome> run(const std::string& prompt, std::span<const size_t> items) override;

  std::vector<SearchItem> search_items() const;  // strata: what is right, to stop or to continue
  std::string describe(const Mistake& mistake) const;  // one JSON object

 private:
  struct Place {
    const LabelledSession* session;
    const Sample* sample;
  };
  PolicySetup& policy_;
  RewardFn reward_;
  double highest_;
  std::vector<LabelledSession> sessions_;
  DecodingOptions decoding_;
  std::vector<Place> places_;  // the contexts of a session stand together
};

}  // namespace l2a
