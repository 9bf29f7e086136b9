#include "cli/answer_tokens.h"

#include <cmath>

#include <gtest/gtest.h>

#include "base/testing.h"
#include "cli/model_files.h"

namespace l2a {
namespace {

const char* const kSchema = R"({"type": "object", "properties": {"reason": {"type": "string"},
    "content": {"enum": [0, 0.5, 1]}}, "required": ["reason", "content"]})";

class AnswerTokensTest : public testing::Test {
 protected:
  AnswerTokensTest()
      : tokenizer_(load_tokenizer(open_model(embedded_policy_model()))),
        end_(tokenizer_.special_id("<|im_end|>")),
        tokens_(tokenizer_, end_),
        shape_(parse_json(kSchema).value_or_throw()) {}

  // Whether each token may come after `said`.
  std::vector<bool> allowed_after(const std::string& said) {
    std::vector<float> logits(static_cast<size_t>(tokenizer_.size()) + 3);  // a padded vocabulary
    tokens_.mask(shape_, shape_.after(shape_.begin(), said), logits);
    std::vector<bool> allowed;
    for (const float logit : logits) allowed.push_back(std::isfinite(logit));
    return allowed;
  }

  BpeTokenizer tokenizer_;
  int32_t end_;
  AnswerTokens tokens_;
  AnswerShape shape_;
};

// Against the question asked of each token by itself: is there an answer that begins so?
TEST_F(AnswerTokensTest, AreThoseWithWhichAnAnswerMayGoOn) {
  for (const std::string said :
       {R"()", R"({"rea)", R"({"reason": ")", R"({"reason": "so)", R"({"reason": "so\)",
        R"({"reason": "so", "content": )", R"({"reason": "so", "content": 0)",
        R"({"reason": "so", "content": 1})"}) {
    const auto allowed = allowed_after(said);
    size_t count = 0;
    for (int32_t id = 0; id < tokenizer_.size(); ++id) {
      const std::string text = tokenizer_.decode({&id, 1});
      const bool goes_on = !tokenizer_.is_special(id) && !text.empty() &&
                           !shape_.after(shape_.begin(), said + text).empty();
      const bool whole = shape_.is_whole(shape_.after(shape_.begin(), said));
      ASSERT_EQ(allowed[static_cast<size_t>(id)], id == end_ ? whole : goes_on)
          << said << " then " << text;
      count += allowed[static_cast<size_t>(id)];
    }
    EXPECT_GT(count, 0u) << said;
    for (size_t id = static_cast<size_t>(tokenizer_.size()); id < allowed.size(); ++id) {
      EXPECT_FALSE(allowed[id]);
    }
  }
}

TEST_F(AnswerTokensTest, AreNoneWhereNoAnswerGoesOn) {
  std::vector<float> logits(static_cast<size_t>(tokenizer_.size()));
  EXPECT_FALSE(tokens_.mask(shape_, shape_.after(shape_.begin(), "I am sorry"), logits));
}

}  // namespace
}  // namespace l2a
