#include "cli/gguf_tokenizer.h"

#include <gtest/gtest.h>

#include "tokenizer/testing.h"

namespace l2a {
namespace {

class GgufTokenizer : public ::testing::TestWithParam<const char*> {};

// Files without merges: the scores, or with Gemma the ids, say what merges first.
TEST_P(GgufTokenizer, GivesTheIdsOfHuggingFace) {
  if (!testing::has_python()) GTEST_SKIP() << "no private Python environment (tools/dev)";
  const std::string path = testing::trained_tokenizers() + "/" + GetParam() + ".gguf";
  const GgufFile file = GgufFile::open(path);
  const BpeTokenizer tokenizer(bpe_from_gguf(file));
  const BosEos tokens = bos_eos_from_gguf(file);
  EXPECT_EQ(tokens.bos, "<s>");
  EXPECT_EQ(tokens.eos, "</s>");
  auto texts = testing::made_texts(10'000);
  for (auto& text : testing::code_point_texts()) texts.push_back(std::move(text));
  const auto expected = testing::reference("bpe", path, {texts.begin(), texts.end()});
  ASSERT_EQ(expected.size(), texts.size());
  for (size_t i = 0; i < texts.size(); ++i) {
    ASSERT_EQ(*tokenizer.encode(texts[i]), expected[i].get<std::vector<int32_t>>()) << texts[i];
  }
}

INSTANTIATE_TEST_SUITE_P(Files, GgufTokenizer, ::testing::Values("llama2", "gemma"));

}  // namespace
}  // namespace l2a
