// All weights of a model, trained (full fine-tuning): embedding, norms, biases, matrices, head.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "model/trained_weights.h"
#include "model/transformer.h"

namespace l2a {

// float32 masters on the model's device; passes cast them to the compute type layer by layer, and
// their gradients arrive in float32. Replies are sampled in the compute type too, never in eight
// bits.
class FullWeights : public TrainedWeights {
 public:
  // Starts as a model whose compute type is float32, of which it keeps its own copy.
  explicit FullWeights(const Transformer& start);

  // Matrices that read the same input are one parameter, whose name has theirs joined by "+".
  std::vector<TrainedParameter> named_parameters() const override { return parameters_; }
  std::unique_ptr<TrainedWeights> clone() const override;
  // DIRECTORY/full_weights.safetensors, the parameters by name: no format of others
  // (docs/formats/runs.md).
  void save(const std::filesystem::path& directory, const std::string& base_name) const override;
  void restore(const std::filesystem::path& directory) override;
  at::Tensor merged(const std::string& name, at::Tensor stored) const override;
  bool changes(const std::string& name) const override;
  PassWeights over(const PassWeights& frozen) const override;
  at::Tensor head_over(const at::Tensor&) const override { return head(); }

 private:
  FullWeights(TransformerConfig config, std::vector<TrainedParameter> parameters);

  const at::Tensor& head() const {
    return (config_.tied_head ? parameters_.front() : parameters_.back()).values;
  }

  TransformerConfig config_;
  // Embedding, each layer's in the order of tensors_of(), last norm, head where it is not tied.
  std::vector<TrainedParameter> parameters_;
};

}  // namespace l2a
