// Sentence vectors from a BERT encoder with mean pooling: all-MiniLM-L6-v2 and its kin.
//
// Files of a model's folder: config.json, model.safetensors, vocab.txt, and
// sentence_bert_config.json, which may be absent. Source: BERT, arXiv 1810.04805; the pooling is
// that of sentence-transformers (mean over the tokens, then unit length).
#pragma once

#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/error.h"

namespace l2a {

// Thread-safe once made. CPU, float32.
class MiniLmEncoder {
 public:
  // Throws Failure: kNotFound, kIo; kInvalidInput "model: FILE: why" for a tensor that is missing
  // or of the wrong shape; kUnsupported for another architecture than BERT with GELU.
  explicit MiniLmEncoder(const std::filesystem::path& folder);
  ~MiniLmEncoder();
  MiniLmEncoder(MiniLmEncoder&&) noexcept;

  size_t width() const;  // 384
  // One vector of unit length for each text, row after row: [texts.size() * width()]. A text
  // longer than the model takes (256 tokens) is cut, as sentence-transformers does. Throws
  // Failure (kInvalidInput) for text that is not UTF-8.
  std::vector<float> encode(std::span<const std::string> texts) const;

 private:
  struct Impl;
  std::unique_ptr<const Impl> impl_;
};

}  // namespace l2a
