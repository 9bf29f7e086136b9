#include "tokenizer/tokenizer_json.h"

#include <gtest/gtest.h>

#include "tokenizer/testing.h"
#include "tokenizer/tokenizer_json_writer.h"

namespace l2a {
namespace {

using testing::reference;

class TokenizerJson : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    if (!testing::has_python()) GTEST_SKIP() << "no private Python environment (tools/dev)";
  }
};

TEST_P(TokenizerJson, GivesTheIdsOfHuggingFace) {
  const std::string folder = testing::trained_tokenizers() + "/" + GetParam();
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

// The file that we write of it makes the same tokenizer again, for us and for Hugging Face.
TEST_P(TokenizerJson, IsWrittenAsItWasRead) {
  const std::string kind = GetParam();
  const std::string folder = testing::trained_tokenizers() + "/" + kind;
  const Json json = parse_json(read_file(folder + "/tokenizer.json")).value_or_throw();
  const BpeVocabulary vocabulary = bpe_from_tokenizer_json(json, "");
  const std::string written = dump_json(tokenizer_json(vocabulary));
  const BpeTokenizer read(vocabulary),
      again(bpe_from_tokenizer_json(parse_json(written).value_or_throw(), ""));
  auto texts = testing::made_texts(2000);
  for (const auto& text : texts) ASSERT_EQ(*again.encode(text), *read.encode(text)) << text;
  for (const char* special : {"<s>", "</s>"}) {
    EXPECT_EQ(again.special_id(special), read.special_id(special));
  }
  if (kind != "llama3" && kind != "llama2") return;  // one of each alphabet: it takes its time

  const std::string copy = folder + "-written";
  std::filesystem::create_directories(copy);
  std::filesystem::copy(folder + "/tokenizer_config.json", copy + "/tokenizer_config.json");
  write_file_atomic(copy + "/tokenizer.json", written);
  const auto expected = reference("bpe", copy, {texts.begin(), texts.end()});
  for (size_t i = 0; i < texts.size(); ++i) {
    ASSERT_EQ(*read.encode(texts[i]), expected.at(i).get<std::vector<int32_t>>()) << texts[i];
  }
}

INSTANTIATE_TEST_SUITE_P(Kinds, TokenizerJson,
                         ::testing::Values("gpt2", "smollm", "llama3", "qwen2", "llama2", "mistral",
                                           "always", "gemma", "no-bytes"));

Json small() {
  return parse_json(R"({
    "added_tokens": [{"id": 4, "content": "<|end|>", "special": true}],
    "normalizer": null,
    "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false},
    "model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "ab": 2}, "merges": [["a", "b"]]}
  })")
      .value_or_throw();
}

// The message with which `json`, changed, is refused; empty when it is taken.
template <class Change>
std::string refusal_of(Json json, const Change& change) {
  change(json);
  try {
    bpe_from_tokenizer_json(json, "t: ");
  } catch (const Failure& e) {
    return e.error.message;
  }
  return "";
}

TEST(TokenizerJsonFile, LeavesHolesWhereNoTokenHasTheId) {
  const BpeTokenizer tokenizer(bpe_from_tokenizer_json(small(), ""));
  EXPECT_EQ(tokenizer.size(), 5);
  EXPECT_EQ(*tokenizer.encode("aba<|end|>"), (std::vector<int32_t>{2, 0}));
  EXPECT_EQ(tokenizer.decode(std::vector<int32_t>{2, 3, 4}), "ab<|end|>");
  EXPECT_EQ(tokenizer.special_id("<|end|>"), 4);
}

// SentencePiece's BPE with two words, a byte and no more.
Json small_pieces() {
  return parse_json(R"({
    "normalizer": {"type": "Replace", "pattern": {"String": " "}, "content": "\u2581"},
    "model": {"type": "BPE", "byte_fallback": true, "unk_token": "?", "fuse_unk": true,
              "vocab": {"?": 0, "a": 1, "\u2581": 2, "\u2581a": 3, "<0x0A>": 4},
              "merges": [["\u2581", "a"]]}
  })")
      .value_or_throw();
}

TEST(TokenizerJsonFile, TakesUnknownCharactersByBytesOrTogether) {
  const BpeTokenizer tokenizer(bpe_from_tokenizer_json(small_pieces(), ""));
  using Ids = std::vector<int32_t>;
  EXPECT_EQ(*tokenizer.encode(" a\n"), (Ids{3, 4}));
  EXPECT_EQ(*tokenizer.encode("\u4E2D\u6587 aa<0x0A>"), (Ids{0, 3, 1, 0}));
  EXPECT_EQ(tokenizer.decode(Ids{3, 4, 1}), " a\na");
}

TEST(TokenizerJsonFile, SaysWhatIsWrongWithSentencePieces) {
  const auto refusal = [](auto change) { return refusal_of(small_pieces(), change); };
  EXPECT_EQ(refusal([](Json&) {}), "");
  EXPECT_EQ(refusal([](Json& j) { j["model"]["unk_token"] = "!"; }),
            "t: 'model' 'unk_token': no token of the vocabulary");
  EXPECT_EQ(refusal([](Json& j) { j["model"]["fuse_unk"] = false; }),
            "t: 'model' 'fuse_unk': false where true is known");
  EXPECT_EQ(refusal([](Json& j) { j["normalizer"] = nullptr; }),
            "t: 'normalizer' and 'pre_tokenizer': [null,null] where that of Llama 2, Mistral or "
            "Gemma is known");
}

TEST(TokenizerJsonFile, SaysWhatIsWrong) {
  const auto refusal = [](auto change) { return refusal_of(small(), change); };
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
