#include "model/trained_weights.h"

#include <torch/autograd.h>

#include "base/error.h"

namespace l2a {

std::vector<at::Tensor> TrainedWeights::parameters() const {
  std::vector<at::Tensor> all;
  for (auto& parameter : named_parameters()) all.push_back(std::move(parameter.values));
  return all;
}

void TrainedWeights::copy_from(const TrainedWeights& other) {
  const auto to = parameters(), from = other.parameters();
  check(to.size() == from.size(), "trained weights: copy of another model's");
  const torch::NoGradGuard no_grad;
  for (size_t i = 0; i < to.size(); ++i) to[i].copy_(from[i]);
}

}  // namespace l2a
