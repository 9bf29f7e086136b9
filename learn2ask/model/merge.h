// A model's weights with what was trained merged into them.
#pragma once

#include <string>

#include <ATen/core/Tensor.h>

#include "model/trained_weights.h"
#include "weights/checkpoint.h"

namespace l2a {

// The tensor of that Hugging Face name, float32, in its shape: as stored, or as `trained`, which
// may be null, has made it. Throws Failure as Checkpoint::read does.
at::Tensor merged_tensor(const Checkpoint& files, const TrainedWeights* trained,
                         const std::string& name);

}  // namespace l2a
