// The embedded sentence model as what graders compare meaning with: embed/ knows nothing of
// reward/, and this is the plug.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "cli/model_files.h"
#include "embed/minilm.h"
#include "reward/grader.h"

namespace l2a {

// Not thread-safe.
class SentenceEncoder final : public TextEncoder {
 public:
  SentenceEncoder() : model_(embedded_sentence_encoder()) {}  // Throws Failure
  size_t width() const override { return model_.width(); }
  std::vector<float> encode(std::span<const std::string> texts) override {
    return model_.encode(texts);
  }

 private:
  MiniLmEncoder model_;
};

}  // namespace l2a
