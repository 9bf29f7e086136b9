#include "rollout/rollout.h"

#include <algorithm>
#include <map>

#include <gtest/gtest.h>
#include <torch/autograd.h>
#include <torch/types.h>

#include "base/error.h"
#include "base/rng.h"
#include "rollout/model_policy.h"
#include "rollout/testing.h"

namespace l2a {
namespace {

using testing::TinyChat;

std::vector<Turn> turns(const std::vector<std::string>& texts) {
  std::vector<Turn> out;
  for (const auto& text : texts) {
    out.push_back({.role = out.size() % 2 == 0 ? Role::kUser : Role::kAssistant, .text = text});
  }
  return out;
}

// Contexts of a session: before each expert turn.
RolloutSession session_of(const TinyChat& tiny, const std::vector<Turn>& all, uint64_t key) {
  RolloutSession session;
  for (size_t t = 1; t < all.size(); t += 2) {
    session.contexts.push_back(tiny.chat.context_ids("Ask.", std::span(all).first(t)));
    session.keys.push_back(key + t);
  }
  return session;
}

std::vector<RolloutSession> sessions_of(const TinyChat& tiny) {
  return {
      session_of(tiny, turns({"my head hurts", "since when?", "two days", "any fever?", "no"}), 10),
      session_of(tiny, turns({"it will not start", "is it plugged in?"}), 20),
      session_of(tiny, turns({"hi", "hello", "my laptop is hot", "since when?"}), 30)};
}

// Next-token logits by a full forward pass of the row.
at::Tensor full_logits(const TinyChat& tiny, const LoraAdapter* adapter,
                       const std::vector<int32_t>& row) {
  const at::NoGradGuard no_grad;
  const std::vector<std::vector<int32_t>> rows = {row};
  const auto hidden_nd = tiny.model.hidden(build_token_tree(rows), adapter);
  return tiny.model.logits(hidden_nd.slice(0, hidden_nd.size(0) - 1));
}

TEST(SampleRollouts, GreedyEqualsStepByStepFullForward) {
  const TinyChat tiny;
  const auto adapter = testing::random_adapter(tiny.config(), {.rank = 4, .alpha = 8}, 5);
  const auto sessions = sessions_of(tiny);
  const DecodingOptions greedy{.temperature = 0, .max_reply_tokens = 12};
  const auto rollouts = sample_rollouts(tiny.model, &adapter, tiny.chat, sessions, greedy);
  for (size_t s = 0; s < sessions.size(); ++s) {
    for (size_t c = 0; c < sessions[s].contexts.size(); ++c) {
      auto row = sessions[s].contexts[c];
      for (size_t i = 0; i < rollouts[s][c][0].ids.size(); ++i) {
        const auto logits_rv = full_logits(tiny, &adapter, row);
        const auto best = logits_rv.argmax(1).item<int64_t>();
        ASSERT_EQ(rollouts[s][c][0].ids[i], best) << s << " " << c << " " << i;
        EXPECT_NEAR(rollouts[s][c][0].log_probs[i],
                    at::log_softmax(logits_rv, 1)[0][best].item<float>(), 1e-5);
        row.push_back(static_cast<int32_t>(best));
      }
    }
  }
}

TEST(SampleRollouts, AReplyDoesNotDependOnItsBatch) {
  const TinyChat tiny;
  const auto sessions = sessions_of(tiny);
  const DecodingOptions options{.temperature = 1, .max_reply_tokens = 20, .replies = 5, .seed = 9};
  const auto together = sample_rollouts(tiny.model, nullptr, tiny.chat, sessions, options);
  const auto few_rows = sample_rollouts(tiny.model, nullptr, tiny.chat, sessions, options, 5);
  for (size_t s = 0; s < sessions.size(); ++s) {
    for (size_t c = 0; c < sessions[s].contexts.size(); ++c) {
      const std::vector<RolloutSession> one = {
          {.contexts = {sessions[s].contexts[c]}, .keys = {sessions[s].keys[c]}}};
      const auto alone = sample_rollouts(tiny.model, nullptr, tiny.chat, one, options);
      for (size_t g = 0; g < 5; ++g) {
        EXPECT_EQ(together[s][c][g].ids, alone[0][0][g].ids);
        EXPECT_EQ(together[s][c][g].ids, few_rows[s][c][g].ids);
      }
      EXPECT_NE(together[s][c][0].ids, together[s][c][1].ids);
    }
  }
}

TEST(SampleRollouts, TellsOfEachContextOnceItsRepliesAreComplete) {
  const TinyChat tiny;
  const auto sessions = sessions_of(tiny);
  const DecodingOptions options{.temperature = 1, .max_reply_tokens = 20, .replies = 3, .seed = 2};
  std::map<std::pair<size_t, size_t>, std::vector<std::string>> told;
  std::vector<size_t> order;  // of sessions
  const auto on_replies = [&](size_t session, size_t context, const std::vector<Rollout>& replies) {
    auto& texts = told[{session, context}];
    EXPECT_TRUE(texts.empty()) << "told twice of " << session << " " << context;
    for (const Rollout& reply : replies) texts.push_back(reply.text);
    order.push_back(session);
  };
  RolloutCost cost;
  const auto rollouts =
      sample_rollouts(tiny.model, nullptr, tiny.chat, sessions, options, 3, &cost, on_replies);
  size_t contexts = 0;
  for (size_t s = 0; s < sessions.size(); ++s) {
    for (size_t c = 0; c < sessions[s].contexts.size(); ++c) {
      std::vector<std::string> texts;
      for (const Rollout& reply : rollouts[s][c]) texts.push_back(reply.text);
      EXPECT_EQ(told.at({s, c}), texts);
      ++contexts;
    }
  }
  EXPECT_EQ(told.size(), contexts);
  EXPECT_TRUE(std::is_sorted(order.begin(), order.end()));  // one context at a time: in order
}

TEST(SampleRollouts, EndsWhenWhoeverIsToldThrows) {
  const TinyChat tiny;
  size_t told = 0;
  const auto on_replies = [&](size_t, size_t, const std::vector<Rollout>&) {
    ++told;
    fail(ErrorCode::kUnavailable, "enough");
  };
  EXPECT_THROW(sample_rollouts(tiny.model, nullptr, tiny.chat, sessions_of(tiny),
                               {.temperature = 1, .max_reply_tokens = 20, .replies = 3}, 3, nullptr,
                               on_replies),
               Failure);
  EXPECT_EQ(told, 1u);
}

TEST(SampleRollouts, RepliesThatAreCompleteMakeRoomForOthers) {
  const TinyChat tiny;
  Rng rng(4);
  std::vector<RolloutSession> sessions;
  for (uint64_t s = 0; s < 20; ++s) {
    RolloutSession session;
    std::vector<int32_t> ids;
    for (uint64_t turn = 0; turn < 3; ++turn) {
      for (int i = 0; i < 20; ++i) ids.push_back(static_cast<int32_t>(rng.below(250)));
      session.contexts.push_back(ids);
      session.keys.push_back(3 * s + turn);
    }
    sessions.push_back(session);
  }
  // The random model ends a turn about once in 259 tokens: replies differ in length.
  const DecodingOptions options{.temperature = 1, .max_reply_tokens = 400, .replies = 2};
  const auto rollouts = [&](std::span<const RolloutSession> of, int64_t max_rows) {
    RolloutCost cost;
    auto replies = sample_rollouts(tiny.model, nullptr, tiny.chat, of, options, max_rows, &cost);
    return std::pair(std::move(replies), cost);
  };
  const auto [all, together] = rollouts(sessions, 120);
  const auto [few, continuous] = rollouts(sessions, 24);
  EXPECT_EQ(together.most_replies, 120);
  EXPECT_LE(continuous.most_replies, 24);
  int64_t longest = 0, tokens = 0;
  for (size_t s = 0; s < sessions.size(); ++s) {
    for (size_t c = 0; c < 3; ++c) {
      for (size_t g = 0; g < 2; ++g) {
        EXPECT_EQ(all[s][c][g].ids, few[s][c][g].ids);
        longest = std::max(longest, static_cast<int64_t>(all[s][c][g].ids.size()));
        tokens += static_cast<int64_t>(all[s][c][g].ids.size());
      }
    }
  }
  EXPECT_EQ(together.steps, longest);
  EXPECT_LT(continuous.steps, 5 * longest) << "more than one batch of 24 after the other takes";
  EXPECT_GE(24 * continuous.steps, tokens);
  // Keys and values: of what is there at a time, not of all that has been.
  const auto [first, of_first] = rollouts(std::span(sessions).first(8), 48);
  EXPECT_LE(continuous.most_bytes, of_first.most_bytes);
  EXPECT_LT(2 * continuous.most_bytes, together.most_bytes);
}

// Replies of one token leave with the step that they come with, and their prefixes with them.
TEST(SampleRollouts, CountsTheKeysAndValuesOfRepliesThatEndAtOnce) {
  const TinyChat tiny;
  const std::vector<RolloutSession> sessions = {
      {.contexts = {std::vector<int32_t>(400, 7)}, .keys = {1}}};
  RolloutCost cost;
  sample_rollouts(tiny.model, nullptr, tiny.chat, sessions, {.max_reply_tokens = 1}, 256, &cost);
  const TransformerConfig& c = tiny.model.config();
  const int64_t of_token = 2 * c.layers * c.kv_heads * c.head_dim * 4;  // keys and values, float32
  EXPECT_GE(cost.most_bytes, 2 * 400 * of_token);  // as they were read, and as they are decoded on
}

// Replies that begin alike are decoded together until they part.
TEST(SampleRollouts, ReplyGIsTheOneThatItsKeyAloneGives) {
  const TinyChat tiny;
  const auto sessions = sessions_of(tiny);
  size_t shared = 0, parted = 0;
  for (const double temperature : {0.1, 0.3, 1.0}) {
    // Another batch may round a logit otherwise, which counts 1 / temperature times: a few ulps of
    // numbers below 16.
    const double tolerance = 4 * 0x1p-20 / temperature;
    for (const double penalty : {1.0, 1.3}) {
      DecodingOptions options{.temperature = temperature,
                              .repetition_penalty = penalty,
                              .max_reply_tokens = 16,
                              .replies = 6,
                              .seed = 3};
      const auto together = sample_rollouts(tiny.model, nullptr, tiny.chat, sessions, options);
      options.replies = 1;
      for (size_t g = 0; g < 6; ++g) {
        auto keyed = sessions;
        for (auto& session : keyed) {
          for (auto& key : session.keys) key = reply_key(key, g);
        }
        const auto alone = sample_rollouts(tiny.model, nullptr, tiny.chat, keyed, options);
        for (size_t s = 0; s < sessions.size(); ++s) {
          for (size_t c = 0; c < sessions[s].contexts.size(); ++c) {
            const auto &expected = alone[s][c][0], &got = together[s][c][g];
            ASSERT_EQ(got.ids, expected.ids);
            EXPECT_EQ(got.text, expected.text);
            EXPECT_EQ(got.truncated, expected.truncated);
            for (size_t i = 0; i < got.ids.size(); ++i) {
              EXPECT_NEAR(got.log_probs[i], expected.log_probs[i], tolerance);
            }
            ++(got.ids[0] == together[s][c][0].ids[0] ? shared : parted);
          }
        }
      }
    }
  }
  EXPECT_GT(shared, 20u);
  EXPECT_GT(parted, 20u);
}

TEST(SampleRollouts, RepliesEndAtTheEndOfTurnOrAreTruncated) {
  const TinyChat tiny;
  const auto sessions = sessions_of(tiny);
  size_t ended = 0, truncated = 0;
  // The random model ends a turn about once in 259 tokens; hot, and many replies.
  const DecodingOptions options{.temperature = 1, .max_reply_tokens = 60, .replies = 40};
  for (const auto& session : sample_rollouts(tiny.model, nullptr, tiny.chat, sessions, options)) {
    for (const auto& context : session) {
      for (const Rollout& r : context) {
        ASSERT_EQ(r.ids.size(), r.log_probs.size());
        const auto end = std::find(r.ids.begin(), r.ids.end(), tiny.chat.end_of_turn());
        EXPECT_EQ(r.truncated, end == r.ids.end());
        EXPECT_TRUE(!r.truncated || r.ids.size() == 60);
        EXPECT_TRUE(r.truncated || end == r.ids.end() - 1);
        EXPECT_FALSE(find_bad_utf8(r.text));  // though most random bytes are none
        EXPECT_EQ(r.text.find("<|im_end|>"), std::string::npos);
        ++(r.truncated ? truncated : ended);
      }
    }
  }
  EXPECT_GT(ended, 10u);
  EXPECT_GT(truncated, 10u);
}

TEST(SampleRollouts, RefusesContextsThatAreTooLong) {
  const TinyChat tiny;
  const std::vector<RolloutSession> sessions = {
      {.contexts = {std::vector<int32_t>(500, 1)}, .keys = {1}}};
  try {
    sample_rollouts(tiny.model, nullptr, tiny.chat, sessions, {.max_reply_tokens = 13});
    FAIL();
  } catch (const Failure& failure) {
    EXPECT_EQ(failure.error.message,
              "rollout: context of 500 tokens: with a reply of 13 it exceeds the model's 512 "
              "positions (leave out the longest sessions)");
  }
}

TEST(ModelPolicy, RepliesInTheOrderOfTheContexts) {
  const TinyChat tiny;
  const auto first = turns({"my head hurts", "since when?", "two days"});
  const auto second = turns({"it will not start"});
  const std::vector<Context> contexts = {{"a/1", std::span(first).first(1)},
                                         {"a/3", std::span(first).first(3)},
                                         {"b/1", std::span(second).first(1)}};
  ModelPolicy policy("base", tiny.model, nullptr, tiny.window());
  const DecodingOptions options{.temperature = 1, .max_reply_tokens = 15, .replies = 2, .seed = 4};
  const auto replies = policy.reply(contexts, options);
  ASSERT_EQ(replies.size(), 3u);
  for (size_t i = 0; i < contexts.size(); ++i) {
    const std::vector<RolloutSession> one = {
        {.contexts = {tiny.chat.context_ids("Ask.", contexts[i].turns)},
         .keys = {stable_hash(contexts[i].id)}}};
    const auto alone = sample_rollouts(tiny.model, nullptr, tiny.chat, one, options)[0][0];
    ASSERT_EQ(replies[i].size(), 2u);
    for (size_t g = 0; g < 2; ++g) {
      EXPECT_EQ(replies[i][g].text, alone[g].text);
      EXPECT_EQ(replies[i][g].truncated, alone[g].truncated);
    }
  }
}

TEST(ModelPolicy, GreedyRepliesToOneContextAreAllTheSame) {
  const TinyChat tiny;
  const auto all = turns({"my head hurts"});
  const std::vector<Context> contexts = {{"a/1", all}};
  ModelPolicy policy("base", tiny.model, nullptr, tiny.window());
  const auto replies = policy.reply(contexts, {.max_reply_tokens = 8, .replies = 3});
  ASSERT_EQ(replies.at(0).size(), 3u);
  EXPECT_EQ(replies[0][1].text, replies[0][0].text);
  EXPECT_EQ(replies[0][2].text, replies[0][0].text);
  EXPECT_FALSE(replies[0][0].text.empty() && !replies[0][0].truncated);
}

TEST(ModelPolicy, MarksRepliesToADialogueWithoutItsOldestTurns) {
  const TinyChat tiny;
  const auto all = turns({std::string(600, 'x'), "what?", "my head hurts"});
  const std::vector<Context> contexts = {{"a/3", all}, {"b/1", std::span(all).last(1)}};
  ModelPolicy policy("base", tiny.model, nullptr, tiny.window(true));
  const DecodingOptions options{.max_reply_tokens = 8, .replies = 2};
  const auto replies = policy.reply(contexts, options);
  EXPECT_EQ(replies[0][1].turns_cut, 1u);
  EXPECT_EQ(replies[1][1].turns_cut, 0u);
  const std::vector<Context> rest = {{"a/3", std::span(all).subspan(1)}};
  EXPECT_EQ(policy.reply(rest, options)[0][0].text, replies[0][0].text);
}

TEST(ModelPolicy, NamesTheContextThatIsTooLong) {
  const TinyChat tiny;
  const auto all = turns({std::string(600, 'x')});
  const std::vector<Context> contexts = {{"a/1", all}};
  ModelPolicy policy("base", tiny.model, nullptr, tiny.window());
  try {
    policy.reply(contexts, {});
    FAIL();
  } catch (const Failure& failure) {
    EXPECT_EQ(failure.error.message,
              "policy base: context a/1: 633 tokens and a reply of 64 exceed the model's 512 "
              "positions (leave the session out, or set policy.cut_oldest_turns=true)");
  }
}

}  // namespace
}  // namespace l2a
