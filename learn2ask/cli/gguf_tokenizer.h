// The tokenizer that a GGUF file brings along: its metadata tokenizer.ggml.*.
#pragma once

#include <map>
#include <string>

#include "tokenizer/bpe.h"
#include "tokenizer/chat_template.h"
#include "weights/gguf.h"

namespace l2a {

// Byte-level BPE ("gpt2") or SentencePiece's ("llama"). Throws Failure: kInvalidInput naming what
// is missing or does not fit; kUnsupported for another kind or pre-tokenizer, listing those known.
BpeVocabulary bpe_from_gguf(const GgufFile& file);

// The other way round: "tokenizer.ggml.*". SentencePiece's gets merges for those who read them, and
// the scores that llama.cpp takes instead. Throws Failure (kUnsupported) for a combination of parts
// that has no name in GGUF.
std::map<std::string, GgufValue> gguf_from_bpe(const BpeVocabulary& vocabulary,
                                               const BosEos& tokens);

// Throws Failure for an id that no token has.
BosEos bos_eos_from_gguf(const GgufFile& file);

}  // namespace l2a
