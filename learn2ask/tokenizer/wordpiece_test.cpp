#include "tokenizer/wordpiece.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tokenizer/testing.h"

namespace l2a {
namespace {

using ::testing::ElementsAre;

constexpr size_t kMaxTokens = 256;  // as tests/reference/tokenizer_ids.py

constexpr char kTiny[] = "[UNK]\n[CLS]\n[SEP]\nun\n##aff\n##able\n,\n\u4E2D\n##a\n";

TEST(WordPieceTokenizer, TakesTheLongestParts) {
  const WordPieceTokenizer tokenizer(kTiny);
  EXPECT_THAT(*tokenizer.encode("UnAff\u00E0ble,un", 20), ElementsAre(1, 3, 4, 5, 6, 3, 2));
  EXPECT_THAT(*tokenizer.encode("unx un", 20), ElementsAre(1, 0, 3, 2));
  EXPECT_THAT(*tokenizer.encode("un\u4E2Dun", 20), ElementsAre(1, 3, 7, 3, 2));
  EXPECT_THAT(*tokenizer.encode("", 20), ElementsAre(1, 2));
  EXPECT_THAT(*tokenizer.encode(" \t\u200B", 20), ElementsAre(1, 2));
}

TEST(WordPieceTokenizer, KnowsNoWordOfMoreThanAHundredCharacters) {
  const WordPieceTokenizer tokenizer(kTiny);
  const auto word = [](size_t length) { return "un" + std::string(length - 2, 'a'); };
  EXPECT_EQ((*tokenizer.encode(word(100), 200)).size(), 2u + 1 + 98);
  EXPECT_THAT(*tokenizer.encode(word(101), 200), ElementsAre(1, 0, 2));
}

TEST(WordPieceTokenizer, CutsToTheTokensAskedFor) {
  const WordPieceTokenizer tokenizer(kTiny);
  EXPECT_THAT(*tokenizer.encode("un , unaffable", 5), ElementsAre(1, 3, 6, 3, 2));
  EXPECT_THAT(*tokenizer.encode("un", 2), ElementsAre(1, 2));
}

TEST(WordPieceTokenizer, RefusesTextThatIsNotUtf8) {
  const WordPieceTokenizer tokenizer(kTiny);
  const auto ids = tokenizer.encode("ab\xff", 20);
  ASSERT_FALSE(ids);
  EXPECT_EQ(ids.error().message, "text: byte 3: invalid UTF-8");
}

TEST(WordPieceTokenizer, RefusesAVocabularyWithoutItsSpecialTokens) {
  const struct {
    const char *vocabulary, *message;
  } cases[] = {{"", "vocabulary: [UNK]: missing"},
               {"[CLS]\n[SEP]\n", "vocabulary: [UNK]: missing"},
               {"[UNK]\n[SEP]\n", "vocabulary: [CLS]: missing"},
               {"[UNK]\n[CLS]\n", "vocabulary: [SEP]: missing"}};
  for (const auto& c : cases) {
    try {
      WordPieceTokenizer tokenizer(c.vocabulary);
      ADD_FAILURE() << c.vocabulary;
    } catch (const Failure& e) {
      EXPECT_EQ(e.error.message, c.message);
    }
  }
}

// Code points that Unicode 15 leaves unassigned are left out: the reference's case tables are newer
// than utf8proc's.
TEST(WordPieceTokenizer, GivesTheIdsOfHuggingFace) {
  if (!std::filesystem::exists(testing::embedded_minilm())) {
    GTEST_SKIP() << "the embedded models are not installed (tools/dev)";
  }
  const WordPieceTokenizer tokenizer(read_file(testing::embedded_minilm() + "/vocab.txt"));
  const auto texts = testing::all_texts();
  ASSERT_GT(texts.size(), 2000u);
  const auto expected =
      testing::reference("wordpiece", testing::embedded_minilm(), {texts.begin(), texts.end()});
  ASSERT_EQ(expected.size(), texts.size());
  for (size_t i = 0; i < texts.size(); ++i) {
    ASSERT_EQ(*tokenizer.encode(texts[i], kMaxTokens), expected[i].get<std::vector<int32_t>>())
        << texts[i];
  }
}

}  // namespace
}  // namespace l2a
