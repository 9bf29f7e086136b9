// A model's weights with an adapter merged into them.
#pragma once

#include <cstdint>
#include <string>

#include <ATen/core/Tensor.h>

#include "model/lora.h"
#include "weights/checkpoint.h"

namespace l2a {

// The tensor of that Hugging Face name, float32, in its shape: W, or W + alpha/r B A where the
// adapter has a pair for it. `adapter` may be null. Throws Failure as Checkpoint::read does.
at::Tensor merged_tensor(const Checkpoint& files, const LoraAdapter* adapter,
                         const std::string& name);

// Whether the adapter has a pair for the tensor.
bool is_adapted(const LoraAdapter& adapter, const std::string& name);

}  // namespace l2a
