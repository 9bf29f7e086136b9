#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/rng.h"
#include "base/utf8.h"
#include "service/reward_forms.h"

namespace l2a {
namespace {

using ::testing::HasSubstr;

// Of ChatML, Llama 3, Gemma, Mistral, DeepSeek, Phi, Command R, GLM, gpt-oss, OLMo and Granite.
const std::vector<std::string> kEndTokens = {"",
                                             "<|im_end|>",
                                             "<|endoftext|>",
                                             "<|im_end|><|endoftext|>",
                                             "<|im_end|>\n<|endoftext|>\n",
                                             "<|eot_id|>",
                                             "<|eom_id|>",
                                             "<|end_of_text|>",
                                             "<end_of_turn>",
                                             "<end_of_turn>\n<eos>",
                                             "<eos>",
                                             "</s>",
                                             "</s></s></s>",
                                             "<\xEF\xBD\x9C"
                                             "end\xE2\x96\x81of\xE2\x96\x81sentence\xEF\xBD\x9C>",
                                             "<|end|>",
                                             "<|END_OF_TURN_TOKEN|>",
                                             "<|user|>",
                                             "<|return|>",
                                             "<|eot|>"};

std::string random_text(const std::vector<std::string>& pieces, size_t most, Rng& rng) {
  std::string text;
  for (size_t n = rng.below(most + 1); n > 0; --n) text += rng.pick(pieces);
  return text;
}

TEST(ReplyInQuery, IsWhatStandsBetweenThePromptAndTheEnd) {
  const std::vector<std::string> pieces = {
      "a",        " ", "\n",   "I cough.", "<|im_start|>user\n", "|>", "<|im_end|>\n",
      "\xC3\xA9", "<", "</s>", "\t"};
  Rng rng(1);
  for (int round = 0; round < 5000; ++round) {
    const std::string prompt = random_text(pieces, 8, rng);
    // Its own last piece is no end token.
    const std::string reply =
        random_text(pieces, 6, rng) +
        rng.pick(std::vector<std::string>{"?", "<stop />", ">", "|", "end|>"});
    const std::string end = rng.pick(kEndTokens);
    const auto found = reply_in_query(prompt + reply + end, prompt);
    ASSERT_TRUE(found) << prompt;
    EXPECT_EQ(*found, reply) << "[" << prompt << "] [" << end << "]";
  }
}

// Trainers decode the prompt another time than the whole, and white space may differ.
TEST(ReplyInQuery, IsFoundWhereWhiteSpaceDiffers) {
  const std::vector<std::string> words = {"a", "cough", "<|im_end|>", "since?", "\xC3\xA9", "."};
  const std::vector<std::string> spaces = {"", " ", "\n", "\r\n", "\t", "  \n"};
  Rng rng(2);
  for (int round = 0; round < 2000; ++round) {
    std::string prompt, query;
    for (size_t n = 1 + rng.below(8); n > 0; --n) {
      const std::string word = rng.pick(words);
      prompt += rng.pick(spaces) + word;
      query += rng.pick(spaces) + word;
    }
    prompt += rng.pick(spaces);
    query += rng.pick(spaces);
    const std::string reply = rng.chance(0.5) ? "<stop />" : "And is it <b>bad</b> ?";
    const auto found = reply_in_query(query + reply + rng.pick(kEndTokens), prompt);
    ASSERT_TRUE(found) << prompt;
    EXPECT_EQ(trim(*found), reply) << "[" << prompt << "] [" << query << "]";
  }
}

TEST(ReplyInQuery, EatsNoMoreThanEndTokens) {
  for (const std::string reply :
       {"<stop />", "<|>", "<||>", "a <b>", "x|>", "</S>", "< /s>", "<|a<b|>", "a </s> b", "<s>"}) {
    for (const std::string& end : kEndTokens) {
      EXPECT_EQ(*reply_in_query("p" + reply + end, "p"), reply) << end;
    }
  }
  const std::string long_name = "<|" + std::string(41, 'x') + "|>";
  EXPECT_EQ(*reply_in_query("p" + long_name, "p"), long_name);
  EXPECT_EQ(*reply_in_query("p", "p"), "");
  EXPECT_EQ(*reply_in_query("p \n</s>", "p"), "");
}

TEST(ReplyInQuery, RefusesAQueryWithoutItsPrompt) {
  const struct {
    std::string query, prompt;
  } cases[] = {{"", "p"}, {"q a", "p"}, {"rompt a", "prompt a"}, {"promp", "prompt"}, {"P", "p"}};
  for (const auto& [query, prompt] : cases) {
    const auto found = reply_in_query(query, prompt);
    ASSERT_FALSE(found) << query;
    EXPECT_THAT(found.error().message, HasSubstr("does not begin with its prompt"));
  }
}

}  // namespace
}  // namespace l2a
