#include "cli/gguf_tokenizer.h"

#include <gtest/gtest.h>

#include "base/testing.h"
#include "tokenizer/testing.h"
#include "weights/gguf_writer.h"

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

// Each list is as long as the file says, which may be another length for each.
TEST(GgufTokenizerOfAnyFile, RefusesTypesOfMoreOrFewerTokensThanThereAre) {
  const TempDir dir;
  for (const size_t types : {0u, 2u, 4u, 100u}) {
    write_gguf(dir / "f.gguf",
               {{"tokenizer.ggml.model", std::string("gpt2")},
                {"tokenizer.ggml.pre", std::string("smollm")},
                {"tokenizer.ggml.tokens", std::vector<std::string>{"a", "b", "c"}},
                {"tokenizer.ggml.merges", std::vector<std::string>{}},
                {"tokenizer.ggml.token_type", std::vector<int64_t>(types, 2)}},
               {}, {});
    EXPECT_EQ(failure_of([&] { bpe_from_gguf(GgufFile::open(dir / "f.gguf")); }),
              "tokenizer: " + std::to_string(types) + " token types for 3 tokens");
  }
}

INSTANTIATE_TEST_SUITE_P(Files, GgufTokenizer, ::testing::Values("llama2", "gemma"));

}  // namespace
}  // namespace l2a
