// What GGUF files call the tensors and settings of Hugging Face's decoder models, and how they
// store some of them otherwise.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/json.h"
#include "weights/gguf.h"

namespace l2a {

// One architecture under both formats' names.
struct GgufArchitecture {
  const char* gguf;        // general.architecture
  const char* model_type;  // config.json's
  // Rows of q and k pair up neighbours for the rotation; Hugging Face's pair up the halves of a
  // head.
  bool neighbour_pairs;
  // Norms after attention and MLP as well as before, stored with the 1 that Hugging Face adds.
  bool gemma_norms;
};

// The architecture of a file. Throws Failure (kUnsupported) naming it when it is none that we know.
const GgufArchitecture& architecture_of(const GgufFile& file);

// The architecture of a config.json's model_type. Throws Failure (kUnsupported) likewise.
const GgufArchitecture& architecture_for(const std::string& model_type);

// "blk.3.attn_q.weight" -> "model.layers.3.self_attn.q_proj.weight"; nullopt for a name that the
// architecture does not have.
std::optional<std::string> hugging_face_name(const GgufArchitecture& architecture,
                                             std::string_view gguf_name);

// The inverse.
std::optional<std::string> gguf_name(const GgufArchitecture& architecture,
                                     std::string_view hugging_face_name);

// The file's metadata as a config.json. Throws Failure naming the key that is missing or out of
// range.
Json config_from_gguf(const GgufFile& file);

}  // namespace l2a
