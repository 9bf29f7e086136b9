#include "tokenizer/bpe.h"

#include <chrono>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tokenizer/testing.h"

namespace l2a {
namespace {

using testing::all_texts;
using ::testing::ElementsAre;
using testing::embedded_gguf;
using testing::reference;
using testing::smollm;

#define NEEDS_MODELS()                                                   \
  if (!std::filesystem::exists(embedded_gguf())) {                       \
    GTEST_SKIP() << "the embedded models are not installed (tools/dev)"; \
  }

// The 256 bytes, then "ab" and "abc", then a special token.
BpeVocabulary tiny_vocabulary() {
  BpeVocabulary v;
  for (char32_t b = 0, next = 0x100; b < 256; ++b) {
    const bool printable = (b >= 0x21 && b <= 0x7E) || (b >= 0xA1 && b != 0xAD);
    const char32_t c = printable ? b : next++;
    v.tokens.push_back(encode_utf8({&c, 1}));
  }
  for (const char* token : {"ab", "abc", "<|end|>"}) v.tokens.push_back(token);
  v.merges = {{"a", "b"}, {"ab", "c"}};
  v.is_special.assign(v.tokens.size(), false);
  v.is_special.back() = true;
  return v;
}

std::string refusal(BpeVocabulary vocabulary) {
  try {
    BpeTokenizer tokenizer(std::move(vocabulary));
  } catch (const Failure& e) {
    return e.error.message;
  }
  return "";
}

TEST(BpeTokenizer, MergesTheBestPairsFirst) {
  const BpeTokenizer tokenizer(tiny_vocabulary());
  EXPECT_THAT(*tokenizer.encode("abcab"), ElementsAre(257, 256));
  EXPECT_THAT(*tokenizer.encode("a b"), ElementsAre('a', ' ', 'b'));
  EXPECT_THAT(*tokenizer.encode(""), ElementsAre());
}

TEST(BpeTokenizer, NeverReadsTextAsASpecialToken) {
  const BpeTokenizer tokenizer(tiny_vocabulary());
  const auto ids = *tokenizer.encode("<|end|>");
  EXPECT_EQ(ids.size(), 7u);
  EXPECT_EQ(tokenizer.decode(ids), "<|end|>");
  EXPECT_EQ(tokenizer.special_id("<|end|>"), 258);
  EXPECT_TRUE(tokenizer.is_special(258));
  EXPECT_FALSE(tokenizer.is_special('a'));
  EXPECT_EQ(tokenizer.decode(std::vector<int32_t>{'h', 'i', 258}), "hi<|end|>");
}

TEST(BpeTokenizer, RefusesTextThatIsNotUtf8) {
  const BpeTokenizer tokenizer(tiny_vocabulary());
  const struct {
    std::string text;
    size_t byte;
  } cases[] = {{"\xff", 1},
               {"ab\x80", 3},
               {"\xc3", 1},
               {"x\xe2\x82", 2},
               {"\xc0\xaf", 1},
               {"\xed\xa0\x80", 1},
               {"\xf4\x90\x80\x80", 1},
               {"ok \xf0\x9f\x98", 4}};
  for (const auto& c : cases) {
    const auto ids = tokenizer.encode(c.text);
    ASSERT_FALSE(ids);
    EXPECT_EQ(ids.error().message, "text: byte " + std::to_string(c.byte) + ": invalid UTF-8");
  }
}

TEST(BpeTokenizer, SaysWhatIsWrongWithAVocabulary) {
  const auto with = [](auto change) {
    BpeVocabulary v = tiny_vocabulary();
    change(v);
    return refusal(std::move(v));
  };
  EXPECT_EQ(with([](auto&) {}), "");
  EXPECT_EQ(with([](auto& v) { v.tokens.clear(); }), "tokenizer: no tokens");
  EXPECT_EQ(with([](auto& v) { v.merges.clear(); }),
            "tokenizer: no merges: a BPE tokenizer cannot do without");
  EXPECT_EQ(with([](auto& v) { v.is_special.pop_back(); }),
            "tokenizer: 258 token types for 259 tokens");
  EXPECT_EQ(with([](auto& v) { v.merges[1] = {"ab", "d"}; }),
            "tokenizer: merge 1 'ab d': no token 'abd'");
  EXPECT_EQ(with([](auto& v) { v.merges[1] = {"abc", ""}; }),
            "tokenizer: merge 1 'abc ': no token ''");
  EXPECT_EQ(with([](auto& v) { v.merges[1] = {"a", "b"}; }),
            "tokenizer: merge 1 'a b': given twice");
  EXPECT_EQ(with([](auto& v) { v.tokens[256] = "a"; }), "tokenizer: token 256 'a': given twice");
  EXPECT_EQ(with([](auto& v) { v.tokens[256] = ""; }), "tokenizer: token 256: empty");
  EXPECT_EQ(with([](auto& v) { v.tokens[256] = "\u4E2D"; }),
            "tokenizer: token 256 '\u4E2D': a character outside the byte alphabet");
  EXPECT_EQ(with([](auto& v) { v.tokens[256] = "\xff"; }),
            "tokenizer: token 256: byte 1: invalid UTF-8");
}

TEST(BpeTokenizer, SaysWhichSpecialTokenIsMissing) {
  const BpeTokenizer tokenizer(tiny_vocabulary());
  try {
    tokenizer.special_id("<|start|>");
    FAIL();
  } catch (const Failure& e) {
    EXPECT_EQ(e.error.code, ErrorCode::kNotFound);
    EXPECT_EQ(e.error.message, "tokenizer: no special token '<|start|>'");
  }
}

TEST(BpeTokenizer, GivesTheIdsOfHuggingFace) {
  NEEDS_MODELS();
  const BpeTokenizer tokenizer(smollm().vocabulary);
  const auto texts = all_texts();
  ASSERT_GT(texts.size(), 2000u);
  const auto expected = reference("bpe", embedded_gguf(), {texts.begin(), texts.end()});
  ASSERT_EQ(expected.size(), texts.size());
  for (size_t i = 0; i < texts.size(); ++i) {
    ASSERT_EQ(*tokenizer.encode(texts[i]), expected[i].get<std::vector<int32_t>>()) << texts[i];
  }
}

TEST(BpeTokenizer, LeavesOutBytesThatTheVocabularyLacks) {
  BpeVocabulary vocabulary = tiny_vocabulary();
  vocabulary.tokens['!'] = "no byte";
  vocabulary.is_special['!'] = true;
  const BpeTokenizer tokenizer(std::move(vocabulary));
  EXPECT_THAT(*tokenizer.encode("!"), ElementsAre());
  EXPECT_THAT(*tokenizer.encode("?!?"), ElementsAre('?', '?'));
}

TEST(BpeTokenizer, DecodesWhatItEncodes) {
  NEEDS_MODELS();
  const BpeTokenizer tokenizer(smollm().vocabulary);
  for (std::string text : all_texts()) {
    const auto ids = *tokenizer.encode(text);
    std::erase_if(text, [](char c) {  // SmolLM2 has no tokens for these
      return std::string_view("\x04\x06\x13\x14\x16\x1d").find(c) != std::string_view::npos;
    });
    ASSERT_EQ(tokenizer.decode(ids), text);
  }
}

TEST(BpeTokenizer, TakesTimeInProportionToAnyText) {
  NEEDS_MODELS();
  const BpeTokenizer tokenizer(smollm().vocabulary);
  for (const std::string unit : {"a", " ", "\n", "!", "1", "\u4E2D", "\u0301", "ab"}) {
    std::string text;
    while (text.size() < 1'000'000) text += unit;
    const auto start = std::chrono::steady_clock::now();
    EXPECT_EQ(tokenizer.decode(*tokenizer.encode(text)), text);
    EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(20)) << unit;
  }
}

}  // namespace
}  // namespace l2a
