// Hugging Face's config.json to the parts of a transformer. Private to this module.
#pragma once

#include <string>

#include "base/json.h"
#include "model/config.h"

namespace l2a {

// Reads both forms that transformers writes: rope_theta and rope_scaling, or rope_parameters.
// `where` opens the messages. Throws Failure: kInvalidInput naming the key that is missing, of the
// wrong type or out of range; kUnsupported for an architecture or a part that we don't compute.
TransformerConfig config_from_json(const Json& json, const std::string& where);

}  // namespace l2a
