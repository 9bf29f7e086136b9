// Where the embedded models lie, and the tokenizer that a model brings along.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "tokenizer/bpe.h"
#include "tokenizer/chat_template.h"
#include "weights/checkpoint.h"

namespace l2a {

// The embedded policy model, SmolLM2-135M-Instruct (a GGUF file), and the embedded sentence
// encoder, all-MiniLM-L6-v2 (a folder). Looked for in L2A_MODELS, in share/learn2ask/models beside
// the installed program, and in the Python environment of the source tree. Throws Failure
// (kNotFound) naming the file.
std::string embedded_policy_model();
std::string embedded_sentence_encoder();

// The model at `path`; the embedded policy model where that is empty. Throws Failure.
Checkpoint open_model(const std::string& path);

// From a GGUF file's tokenizer.ggml.* metadata, or from a folder's tokenizer.json. Has an id for
// each row of the embedding. Throws Failure: something is missing or does not fit together; an id
// past the embedding; kUnsupported for a tokenizer that is not BPE.
BpeTokenizer load_tokenizer(const Checkpoint& files);
BpeVocabulary load_vocabulary(const Checkpoint& files);  // what it is made of

// The tokens that the model calls by these names. Throws Failure.
BosEos load_bos_eos(const Checkpoint& files);
// The Jinja text of the model's chat template; nullopt where it has none. Throws Failure.
std::optional<std::string> load_chat_template_text(const Checkpoint& files);

// The chat format of that name; where it is empty, the one that the model's own template is: a GGUF
// file's tokenizer.chat_template, a folder's chat_template.jinja or tokenizer_config.json.
// `tokenizer` must outlive the result. Throws Failure: missing, or not one that we know.
ChatTemplate load_chat_template(const Checkpoint& files, const BpeTokenizer& tokenizer,
                                const std::string& format = "");

// All files that the model, its tokenizer and its template were read from.
std::vector<std::filesystem::path> model_files(const Checkpoint& files);

}  // namespace l2a
