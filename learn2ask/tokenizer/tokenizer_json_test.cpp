#include "tokenizer/tokenizer_json.h"

#include <filesystem>

#include <gtest/gtest.h>
#include <unistd.h>

#include "tokenizer/testing.h"

namespace l2a {
namespace {

using testing::reference;

bool has_python() { return std::filesystem::exists(L2A_SOURCE_DIR "/.deps/venv/bin/python"); }

// Tokenizers of every kind, trained by the tokenizers library on texts of the tests, once.
class TokenizerJson : public ::testing::TestWithParam<const char*> {
 protected:
  static void SetUpTestSuite() {
    if (!has_python()) return;
    folder_ = ::testing::TempDir() + "tokenizers-" + std::to_string(::getpid());
    std::filesystem::create_directories(folder_);
    const auto texts = testing::made_texts(1000);
    reference("train", folder_, {texts.begin(), texts.end()});
  }
  static void TearDownTestSuite() { std::filesystem::remove_all(folder_); }
  void SetUp() override {
    if (!has_python()) GTEST_SKIP() << "no private Python environment (tools/dev)";
  }
  static inline std::string folder_;
};

TEST_P(TokenizerJson, GivesTheIdsOfHuggingFace) {
  const std::string folder = folder_ + "/" + GetParam();
  const Json json = parse_json(read_file(folder + "/tokenizer.json")).value_or_throw();
  const BpeTokenizer tokenizer(bpe_from_tokenizer_json(json, ""));
  auto texts = testing::made_texts(10'000);
  for (auto& text : testing::code_point_texts()) texts.push_back(std::move(text));
  const auto expected = reference("bpe", folder, {texts.begin(), texts.end()});
  ASSERT_EQ(expected.size(), texts.size());
  for (size_t i = 0; i < texts.size(); ++i) {
    ASSERT_EQ(*tokenizer.encode(texts[i]), expected[i].get<std::vector<int32_t>>()) << texts[i];
  }
}

INSTANTIATE_TEST_SUITE_P(Kinds, TokenizerJson,
                         ::testing::Values("gpt2", "smollm", "llama3", "qwen2"));

Json small() {
  return parse_json(R"({
    "added_tokens": [{"id": 4, "content": "<|end|>", "special": true}],
    "normalizer": null,
    "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false},
    "model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "ab": 2}, "merges": [["a", "b"]]}
  })")
      .value_or_throw();
}

TEST(TokenizerJsonFile, LeavesHolesWhereNoTokenHasTheId) {
  const BpeTokenizer tokenizer(bpe_from_tokenizer_json(small(), ""));
  EXPECT_EQ(tokenizer.size(), 5);
  EXPECT_EQ(*tokenizer.encode("aba<|end|>"), (std::vector<int32_t>{2, 0}));
  EXPECT_EQ(tokenizer.decode(std::vector<int32_t>{2, 3, 4}), "ab<|end|>");
  EXPECT_EQ(tokenizer.special_id("<|end|>"), 4);
}

TEST(TokenizerJsonFile, SaysWhatIsWrong) {
  const auto refusal = [](auto change) -> std::string {
    Json json = small();
    change(json);
    try {
      bpe_from_tokenizer_json(json, "t: ");
    } catch (const Failure& e) {
      return e.error.message;
    }
    return "";
  };
  EXPECT_EQ(refusal([](Json&) {}), "");
  EXPECT_EQ(refusal([](Json& j) { j = 1; }), "t: expected an object");
  EXPECT_EQ(refusal([](Json& j) { j.erase("model"); }), "t: 'model': expected an object");
  EXPECT_EQ(refusal([](Json& j) { j["model"]["type"] = "Unigram"; }),
            "t: 'model' 'type': \"Unigram\" where BPE is known");
  EXPECT_EQ(refusal([](Json& j) { j["model"]["vocab"] = 3; }),
            "t: 'model' 'vocab': expected an object");
  EXPECT_EQ(refusal([](Json& j) { j["model"]["vocab"]["c"] = int64_t{1} << 60; }),
            "t: 'model' 'vocab' 'c': expected an id from 0 to 1033");
  EXPECT_EQ(refusal([](Json& j) { j["model"]["vocab"]["c"] = -1; }),
            "t: 'model' 'vocab' 'c': expected an id from 0 to 1033");
  EXPECT_EQ(refusal([](Json& j) { j["model"]["vocab"]["c"] = 1; }),
            "t: 'model' 'vocab' 'c': id 1 is also that of 'b'");
  EXPECT_EQ(refusal([](Json& j) { j["model"].erase("merges"); }),
            "t: 'model' 'merges': expected an array");
  EXPECT_EQ(refusal([](Json& j) { j["model"]["merges"][0] = Json::array({"a"}); }),
            "t: 'model' 'merges' 0: expected two tokens");
  EXPECT_EQ(refusal([](Json& j) { j["added_tokens"][0].erase("content"); }),
            "t: 'added_tokens' 0: 'content': missing");
  EXPECT_EQ(refusal([](Json& j) { j["added_tokens"][0]["id"] = "x"; }),
            "t: 'added_tokens' 0: expected an id from 0 to 1031");
  EXPECT_EQ(refusal([](Json& j) { j["normalizer"] = {{"type", "NFKC"}}; }),
            "t: 'normalizer': {\"type\":\"NFKC\"} where none or NFC is known");
  EXPECT_EQ(refusal([](Json& j) { j["pre_tokenizer"] = nullptr; }),
            "t: 'pre_tokenizer': null where that of GPT-2, SmolLM2, Llama 3 or Qwen2 is known");
}

}  // namespace
}  // namespace l2a
