// A tokenizer as Hugging Face's tokenizer.json.
#pragma once

#include "base/json.h"
#include "tokenizer/bpe.h"

namespace l2a {

// What bpe_from_tokenizer_json() reads back as the same, and transformers loads.
Json tokenizer_json(const BpeVocabulary& vocabulary);

}  // namespace l2a
