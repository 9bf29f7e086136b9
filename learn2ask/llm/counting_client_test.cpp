#include "llm/counting_client.h"

#include <gtest/gtest.h>

#include "base/testing.h"
#include "llm/client_testing.h"
#include "llm/spending.h"

namespace l2a {
namespace {

// Asks so many times for each of `texts`, all of them in one run.
void ask(CountingClient& client, const std::vector<std::string>& texts) {
  int answers = 0;
  for (const std::string& text : texts) {
    client.submit(question(text), [&](const Result<ChatReply>& reply) {
      EXPECT_FALSE(reply);
      ++answers;
    });
  }
  client.run();
  EXPECT_EQ(answers, static_cast<int>(texts.size()));
}

TEST(CountingClient, CountsEqualCallsOnceAsLongAsTheirAnswersAreKept) {
  LlmOptions kept = options_for("http://127.0.0.1:9/v1"), forgotten = kept;
  forgotten.cache.clear();
  CountingClient with(kept, nullptr), without(forgotten, nullptr);
  for (CountingClient* client : {&with, &without}) {
    ask(*client, {"a", "b", "a", "a"});
    ask(*client, {"b", "c"});
  }
  EXPECT_EQ(with.estimate().calls, 3);
  EXPECT_EQ(with.estimate().cached, 3);
  EXPECT_EQ(without.estimate().calls, 4);
  EXPECT_EQ(without.estimate().cached, 2);
}

// What it says is at most is at most: also of a text of which each byte is a token.
TEST(CountingClient, SaysNoLessThanACallMayCost) {
  LlmOptions options = options_for("http://127.0.0.1:9/v1");
  options.price_prompt = 3;
  options.price_completion = 15;
  CountingClient client(options, nullptr);
  const std::string dense(10'000, '7');
  ask(client, {dense});
  const TokenUsage a_token_a_byte{static_cast<int64_t>(dense.size()), question(dense).max_tokens};
  EXPECT_GE(client.estimate().most_cost, cost_of(a_token_a_byte, options));
}

TEST(CountingClient, KnowsWhatTheRealOneWouldSend) {
  ScriptedEndpoint endpoint(echo);
  const TempDir dir;
  ReplyCache cache(dir / "cache.sqlite");
  Ledger ledger(dir / "ledger.jsonl");
  LlmOptions options = options_for(endpoint.url());
  const std::vector<std::vector<std::string>> runs = {{"a", "b", "a"}, {"b", "c", "c"}, {"d"}};
  for (size_t first = 0; first < runs.size(); ++first) {
    CountingClient counting(options, &cache);
    for (size_t i = first; i < runs.size(); ++i) ask(counting, runs[i]);
    size_t sent = 0;
    for (size_t i = first; i < runs.size(); ++i) sent += i == 0 ? 2 : 1;  // "a" and "b"; "c"; "d"
    EXPECT_EQ(counting.estimate().calls, static_cast<int64_t>(sent)) << first;
    HttpChatClient client(options, open_transfers(options, kSent), &cache, ledger);
    for (const std::string& text : runs[first]) {
      client.submit(question(text), [](const Result<ChatReply>& reply) { EXPECT_TRUE(reply); });
    }
    client.run();
  }
  EXPECT_EQ(endpoint.calls(), 4u);
}

}  // namespace
}  // namespace l2a
