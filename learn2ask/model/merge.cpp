#include "model/merge.h"

#include <ATen/ATen.h>

namespace l2a {

at::Tensor merged_tensor(const Checkpoint& files, const TrainedWeights* trained,
                         const std::string& name) {
  at::Tensor values = at::empty(files.stored(name).shape, at::kFloat);
  files.read(name, {values.data_ptr<float>(), static_cast<size_t>(values.numel())});
  return trained ? trained->merged(name, values) : values;
}

}  // namespace l2a
