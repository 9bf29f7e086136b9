#include "rollout/context_window.h"

#include <algorithm>
#include <set>

#include <gtest/gtest.h>

#include "base/rng.h"
#include "rollout/testing.h"

namespace l2a {
namespace {

using testing::TinyChat;

constexpr int64_t kReply = 20;

std::vector<Turn> random_turns(Rng& rng, size_t count, size_t longest) {
  std::vector<Turn> turns;
  for (size_t t = 0; t < count; ++t) {
    turns.push_back({.role = t % 2 == 0 ? Role::kUser : Role::kAssistant,
                     .text = std::string(1 + rng.below(longest), 'x')});
  }
  return turns;
}

TEST(ContextWindow, IsTheWholeDialogueWhereThatFits) {
  const TinyChat tiny;
  Rng rng(1);
  for (const bool cut : {false, true}) {
    const auto turns = random_turns(rng, 7, 20);
    const auto view = tiny.window(cut).view(turns, kReply).value_or_throw();
    EXPECT_EQ(view.ids, tiny.chat.context_ids("Ask.", turns));
    EXPECT_EQ(view.turns_cut, 0u);
  }
}

// Swept over the prefixes of random dialogues, as the expert's turns are.
TEST(ContextWindow, CutsWholeOldestTurnsInFewSteps) {
  const TinyChat tiny;
  const ContextWindow window = tiny.window(true);
  const int64_t room = tiny.config().max_positions - kReply;
  const int64_t piece = (room - static_cast<int64_t>(tiny.chat.context_ids("Ask.", {}).size())) / 8;
  Rng rng(2);
  for (int trial = 0; trial < 20; ++trial) {
    const auto turns = random_turns(rng, 60, 40);
    std::set<size_t> cuts;
    for (size_t t = 1; t <= turns.size(); ++t) {
      const auto all = std::span(turns).first(t);
      const auto whole = static_cast<int64_t>(tiny.chat.context_ids("Ask.", all).size());
      const auto view = window.view(all, kReply).value_or_throw();
      const auto left = static_cast<int64_t>(view.ids.size());
      ASSERT_EQ(view.ids, tiny.chat.context_ids("Ask.", all.subspan(view.turns_cut)));
      ASSERT_LE(left, room);
      ASSERT_EQ(view.turns_cut == 0, whole <= room);
      // 60: the turn in which a piece ends.
      ASSERT_GT(left, std::min(whole - 1, room - piece - 60));
      ASSERT_GE(view.turns_cut, cuts.empty() ? 0 : *cuts.rbegin());
      cuts.insert(view.turns_cut);
    }
    const auto tokens = static_cast<int64_t>(tiny.chat.context_ids("Ask.", turns).size());
    ASSERT_GT(tokens, 2 * room);
    EXPECT_LE(static_cast<int64_t>(cuts.size()), 2 + (tokens - room) / piece);
  }
}

TEST(ContextWindow, RefusesWhatDoesNotFit) {
  const TinyChat tiny;
  const std::vector<Turn> turns = {{.role = Role::kUser, .text = "hi"},
                                   {.role = Role::kAssistant, .text = "hello"},
                                   {.role = Role::kUser, .text = std::string(600, 'x')}};
  const auto whole = tiny.window().view(turns, kReply);
  ASSERT_FALSE(whole);
  EXPECT_EQ(whole.error().message,
            "661 tokens and a reply of 20 exceed the model's 512 positions (leave the session out, "
            "or set policy.cut_oldest_turns=true)");
  const auto cut = tiny.window(true).view(turns, kReply);
  ASSERT_FALSE(cut);
  EXPECT_EQ(cut.error().message,
            "661 tokens and a reply of 20 exceed the model's 512 positions (its last turn alone is "
            "too long: leave it out)");
}

// A chat format that wants the user to speak first, and puts the prompt into those words.
class UserFirst : public ::testing::Test {
 protected:
  ContextWindow window(std::string user_opens, int64_t positions = 512) const {
    return {chat_,
            {.system_prompt = "Ask.",
             .max_positions = positions,
             .cut_oldest_turns = true,
             .user_opens = std::move(user_opens)}};
  }

  const BpeTokenizer tokenizer_ = testing::byte_tokenizer();
  const ChatTemplate chat_ =
      ChatTemplate::named("mistral-v1", {"<|im_start|>", "<|im_end|>"}, tokenizer_)
          .value_or_throw();
};

TEST_F(UserFirst, RefusesADialogueThatTheExpertOpensUnlessTheUserIsToSpeakBefore) {
  const std::vector<Turn> turns = {{.role = Role::kAssistant, .text = "Hello?"},
                                   {.role = Role::kUser, .text = "hi"}};
  for (const size_t count : {0, 2}) {
    const auto refused = window("").view(std::span(turns).first(count), kReply);
    ASSERT_FALSE(refused);
    EXPECT_TRUE(refused.error().message.starts_with("chat template mistral-v1: it "));
    EXPECT_NE(refused.error().message.find("set policy.user_opens to"), std::string::npos);

    auto view = window("(comes in)").view(std::span(turns).first(count), kReply);
    std::vector<Turn> opened = {{.role = Role::kUser, .text = "(comes in)"}};
    opened.insert(opened.end(), turns.begin(), turns.begin() + static_cast<std::ptrdiff_t>(count));
    EXPECT_EQ(std::move(view).value_or_throw().ids, chat_.context_ids("Ask.", opened));
  }
}

TEST_F(UserFirst, CutsTurnsSoThatTheUserStillSpeaksFirst) {
  Rng rng(4);
  for (int trial = 0; trial < 20; ++trial) {
    const auto turns = random_turns(rng, 41, 30);
    const auto view = window("", 400).view(turns, kReply).value_or_throw();
    EXPECT_EQ(turns.at(view.turns_cut).role, Role::kUser);
    EXPECT_LE(view.ids.size(), 400u - kReply);
    EXPECT_EQ(view.ids, chat_.context_ids("Ask.", std::span(turns).subspan(view.turns_cut)));
  }
}

}  // namespace
}  // namespace l2a
