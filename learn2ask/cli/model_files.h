// Where the embedded models lie, and the tokenizer that a model file brings along.
#pragma once

#include <string>

#include "tokenizer/bpe.h"
#include "tokenizer/chat_template.h"
#include "weights/gguf.h"

namespace l2a {

// The embedded policy model, SmolLM2-135M-Instruct (a GGUF file), and the embedded sentence
// encoder, all-MiniLM-L6-v2 (a folder). Looked for in L2A_MODELS, in share/learn2ask/models beside
// the installed program, and in the Python environment of the source tree. Throws Failure
// (kNotFound) naming the file.
std::string embedded_policy_model();
std::string embedded_sentence_encoder();

// From the file's tokenizer.ggml.* metadata. Throws Failure: something is missing or does not fit
// together; kUnsupported for a tokenizer that is not byte-level BPE.
BpeTokenizer load_tokenizer(const GgufFile& file);

// From the file's tokenizer.chat_template. `tokenizer` must outlive the result. Throws Failure:
// missing, or not one that we know.
ChatTemplate load_chat_template(const GgufFile& file, const BpeTokenizer& tokenizer);

}  // namespace l2a
