// Hugging Face's tokenizer.json: what the BPE tokenizer in it is made of.
#pragma once

#include <string>

#include "base/json.h"
#include "tokenizer/bpe.h"

namespace l2a {

// Reads the model, its normaliser, pre-tokenizer and added tokens; what it does to whole texts
// (post-processor, truncation, padding) is the chat template's business. `where` opens the
// messages. Throws Failure: kInvalidInput naming the part that is missing or wrong; kUnsupported
// for one that we don't have, listing those that we do.
BpeVocabulary bpe_from_tokenizer_json(const Json& json, const std::string& where);

}  // namespace l2a
