// The weights that one pass runs on: the frozen ones, with an adapter beside them, or trained ones
// in their place. Private to this module.
#pragma once

#include <vector>

#include "model/decoder_layer.h"
#include "model/fused_head.h"
#include "model/trained_weights.h"

namespace l2a {

struct PassWeights {
  at::Tensor embedding_vd;  // compute type; float32 where trained
  at::Tensor norm_d;        // float32
  FrozenMatrix head;        // compute type; float32 where trained
  HeadMath head_math;
  std::vector<FrozenLayer> layers;
  std::vector<LayerLora> lora;               // float32; empty without an adapter
  std::vector<LayerWeights> trained_layers;  // float32, behind `layers`; empty: those are frozen
};

inline PassWeights pass_weights(const PassWeights& frozen, const TrainedWeights* trained) {
  return trained ? trained->over(frozen) : frozen;
}

}  // namespace l2a
