// What training changes of a frozen Transformer: an adapter beside its matrices (LoraAdapter), or
// all of its weights (FullWeights).
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

namespace l2a {

struct PassWeights;  // pass_weights.h, private to this module

struct TrainedParameter {
  std::string name;   // for messages, and in files
  at::Tensor values;  // float32 leaf, requires a gradient
};

// Const members are safe to call from several threads while nobody changes the values.
class TrainedWeights {
 public:
  virtual ~TrainedWeights() = default;

  // Always in the same order.
  virtual std::vector<TrainedParameter> named_parameters() const = 0;
  std::vector<at::Tensor> parameters() const;
  // Values, not storage; `other` is of the same kind and shapes.
  void copy_from(const TrainedWeights& other);
  virtual std::unique_ptr<TrainedWeights> clone() const = 0;

  // `base_name` is what the frozen model is called. Throws Failure (kIo).
  virtual void save(const std::filesystem::path& directory, const std::string& base_name) const = 0;
  // Takes the values that save() wrote, to the bit. Throws Failure where they are of other shapes.
  virtual void restore(const std::filesystem::path& directory) = 0;

  // The tensor of a Hugging Face name as it is now, float32: `stored` is the frozen one, whose
  // values may be overwritten.
  virtual at::Tensor merged(const std::string& name, at::Tensor stored) const = 0;
  // Whether merged() may be another tensor than the stored one.
  virtual bool changes(const std::string& name) const = 0;

  // What a pass runs on. Differentiable with respect to the parameters when autograd is on.
  virtual PassWeights over(const PassWeights& frozen) const = 0;
  // Its head alone, [v, d].
  virtual at::Tensor head_over(const at::Tensor& frozen_vd) const = 0;

 protected:
  TrainedWeights() = default;
  TrainedWeights(const TrainedWeights&) = default;
  TrainedWeights& operator=(const TrainedWeights&) = default;
};

}  // namespace l2a
