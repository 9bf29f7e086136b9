// Which stored tensors a layer's weights are made of: for all who read, write or name them.
// Private to this module.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "model/decoder_layer.h"

namespace l2a {

// Outside the layers.
inline constexpr const char* kEmbeddingName = "model.embed_tokens.weight";
inline constexpr const char* kLastNormName = "model.norm.weight";
inline constexpr const char* kHeadName = "lm_head.weight";

enum class PartKind { kNorm, kMatrix, kBias };

struct StoredRows {
  std::string name;  // of the tensor, Hugging Face's
  int64_t count;
};

// Stored tensors one below the other; none where the architecture lacks the part.
struct LayerPart {
  PartKind kind;
  std::vector<StoredRows> rows;
  int64_t columns = 1;
};

// In the order of tensors_of().
std::array<LayerPart, kLayerTensors> layer_parts(const TransformerConfig& config, int64_t layer);

// All parts joined by "+".
std::string name_of(const LayerPart& part);

}  // namespace l2a
