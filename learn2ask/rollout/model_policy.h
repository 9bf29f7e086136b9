// The model as a Policy: system prompt, chat template, decoding.
#pragma once

#include <memory>
#include <string>

#include "dialogue/policy.h"
#include "rollout/context_window.h"
#include "rollout/rollout.h"

namespace l2a {

// Not thread-safe. `model`, `trained` (may be null) and the window's template must outlive it.
class ModelPolicy : public Policy {
 public:
  ModelPolicy(std::string name, const Transformer& model, const TrainedWeights* trained,
              ContextWindow window);
  std::string name() const override { return name_; }
  std::vector<std::vector<Reply>> reply(std::span<const Context> contexts,
                                        const DecodingOptions& options) override;

 private:
  std::string name_;
  const Transformer& model_;
  const TrainedWeights* trained_;
  ContextWindow window_;
};

}  // namespace l2a
