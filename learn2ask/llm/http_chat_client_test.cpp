#include "llm/http_chat_client.h"

#include <algorithm>
#include <condition_variable>
#include <map>
#include <mutex>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/file.h"
#include "llm/client_testing.h"

namespace l2a {
namespace {

using testing::HasSubstr;
using testing::Not;

TEST_F(Client, AnswersEachCallOnceWithItsOwnAnswer) {
  ScriptedEndpoint endpoint(echo);
  auto client = make(options_for(endpoint.url()));
  Answers answers(200);
  submit_numbered(client, answers);
  client.run();
  expect_echoes(answers);
  EXPECT_EQ(endpoint.calls(), 200u);
  EXPECT_EQ(ledger_.totals().replies, 200);
  EXPECT_EQ(ledger_.totals().prompt_tokens, 2000);
}

TEST_F(Client, SendsWhatTheProtocolWants) {
  ReceivedCall seen;
  ScriptedEndpoint endpoint([&](const ReceivedCall& call) {
    seen = call;
    return echo(call);
  });
  ::setenv("L2A_TEST_KEY", "sk-secret", 1);
  LlmOptions options = options_for(endpoint.url() + "/");
  options.key_env = "L2A_TEST_KEY";
  auto client = make(options);
  Answers answers(1);
  submit_numbered(client, answers);
  client.run();
  EXPECT_EQ(seen.headers.at("authorization"), "Bearer sk-secret");
  EXPECT_EQ(seen.headers.at("content-type"), "application/json");
  EXPECT_EQ((*parse_json(seen.body))["model"], "judge");
}

TEST_F(Client, AnswersWhatAnAnswerAsks) {
  ScriptedEndpoint endpoint(echo);
  auto client = make(options_for(endpoint.url()));
  Answers answers(2);
  client.submit(question(numbered(0)), [&](Result<ChatReply> reply) {
    answers.put(0)(std::move(reply));
    client.submit(question(numbered(1)), answers.put(1));
  });
  client.run();
  expect_echoes(answers);
}

TEST_F(Client, KeepsConnectionsOpen) {
  ScriptedEndpoint endpoint(echo);
  LlmOptions options = options_for(endpoint.url());
  options.concurrency = 3;
  auto client = make(options);
  Answers answers(60);
  submit_numbered(client, answers);
  client.run();
  EXPECT_LE(endpoint.connections(), 3u);
}

TEST_F(Client, HasAsManyCallsInFlightAsAllowed) {
  constexpr int kAllowed = 5;
  std::mutex mutex;
  std::condition_variable came;
  int now = 0, most = 0;
  bool in_vain = false;
  ScriptedEndpoint endpoint([&](const ReceivedCall& call) {
    {
      std::unique_lock lock(mutex);
      most = std::max(most, ++now);
      came.notify_all();
      // The first ones are not answered before as many are there as may be.
      const auto all_came = [&] { return most >= kAllowed || in_vain; };
      if (!came.wait_for(lock, std::chrono::seconds(20), all_came)) in_vain = true;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(20));  // one too many would come now
    const std::lock_guard lock(mutex);
    --now;
    return echo(call);
  });
  LlmOptions options = options_for(endpoint.url());
  options.concurrency = kAllowed;
  options.timeout_s = 60;
  auto client = make(options);
  Answers answers(60);
  submit_numbered(client, answers);
  client.run();
  const std::lock_guard lock(mutex);
  EXPECT_EQ(most, kAllowed);
}

// A call that goes wrong in every way there is, twice, and then well.
struct Trouble {
  const char* name;
  ScriptedAnswer answer;
  bool lost;  // whether the endpoint may have done (and charged) its work

  // Whether nothing but the client's timeout ends it.
  bool lasts() const { return answer.manner == Manner::kHang || answer.manner == Manner::kDrip; }
};

class Troubled : public Client, public testing::WithParamInterface<Trouble> {};

TEST_P(Troubled, IsAskedAgainAndInventsNothing) {
  constexpr int64_t kCalls = 12;
  std::mutex mutex;
  std::map<std::string, int64_t> tries;  // of each call, as the endpoint was told
  ScriptedEndpoint endpoint([&](const ReceivedCall& call) {
    if (is_probe(call)) return echo(call);
    {
      const std::lock_guard lock(mutex);
      int64_t& of_call = tries[call.last_message()];
      of_call = std::max(of_call, call.retries() + 1);
    }
    if (call.retries() >= 2) return echo(call);
    ScriptedAnswer answer = GetParam().answer;
    if (answer.body.empty()) answer.body = echo(call).body;
    return answer;
  });
  LlmOptions options = options_for(endpoint.url());
  if (GetParam().lasts()) options.timeout_s = 0.5;
  options.max_reply_bytes = 1 << 20;
  auto client = make(options);
  Answers answers(kCalls);
  submit_numbered(client, answers);
  client.run();
  expect_echoes(answers);
  int64_t made = 0;
  {
    const std::lock_guard lock(mutex);
    for (const auto& [text, count] : tries) made += count;
  }
  if (GetParam().lasts()) {
    EXPECT_GE(made, 3 * kCalls);  // so short a timeout may end a good answer, too
  } else {
    EXPECT_EQ(made, 3 * kCalls);
  }
  const LedgerTotals& totals = ledger_.totals();
  EXPECT_EQ(totals.sent, made);
  EXPECT_EQ(totals.replies, kCalls);
  EXPECT_EQ(totals.lost, GetParam().lost ? made - kCalls : 0);
}

INSTANTIATE_TEST_SUITE_P(
    Endpoints, Troubled,
    testing::Values(
        Trouble{"reset", {.manner = Manner::kReset}, true},
        Trouble{"hang", {.manner = Manner::kHang}, true},
        Trouble{"drip", {.manner = Manner::kDrip}, true},
        Trouble{"cut_connection", {.manner = Manner::kCut}, true},
        Trouble{"status_408", {.status = 408, .body = "{}"}, false},
        Trouble{"status_500", {.status = 500, .body = "oops"}, false},
        Trouble{
            "status_503", {.status = 503, .body = R"({"error": {"message": "loading"}})"}, false},
        Trouble{"error_text_with_200", {.body = "Internal error: worker died"}, false},
        Trouble{
            "error_object_with_200", {.body = R"({"error": {"message": "worker died"}})"}, false},
        Trouble{
            "json_cut_with_200", {.body = R"({"choices": [{"message": {"content": "ye)"}, false},
        Trouble{"two_objects", {.body = chat_body("a") + chat_body("b")}, false},
        Trouble{"nan", {.body = R"({"choices": [{"message": {"content": NaN}}]})"}, false},
        Trouble{"no_text", {.body = R"({"choices": [{"message": {"content": null}}]})"}, false}),
    [](const auto& test) { return std::string(test.param.name); });

TEST_F(Client, TakesEachAnswerOnceWhereTheEndpointSendsItTwice) {
  ScriptedEndpoint endpoint([](const ReceivedCall& call) {
    ScriptedAnswer answer = echo(call);
    answer.manner = Manner::kTwice;
    return answer;
  });
  LlmOptions options = options_for(endpoint.url());
  options.concurrency = 2;
  auto client = make(options);
  Answers answers(50);
  submit_numbered(client, answers);
  client.run();
  expect_echoes(answers);
}

TEST_F(Client, RefusesAnAnswerThatIsTooLongAndDoesNotPayForItAgain) {
  ScriptedEndpoint endpoint([](const ReceivedCall&) { return says(std::string(10 << 20, 'a')); });
  auto client = make(options_for(endpoint.url()));
  Answers answers(3);
  submit_numbered(client, answers);
  client.run();
  for (const auto& reply : answers.replies) {
    ASSERT_FALSE(reply);
    EXPECT_THAT(reply.error().message, HasSubstr("more than 4194304 bytes"));
  }
  EXPECT_EQ(endpoint.calls(), 3u);
}

TEST_F(Client, NeverAsksAgainWhatWasRefused) {
  ScriptedEndpoint endpoint([](const ReceivedCall&) {
    return ScriptedAnswer{.status = 400, .body = R"({"error": {"message": "too many tokens"}})"};
  });
  auto client = make(options_for(endpoint.url()));
  Answers answers(20);
  submit_numbered(client, answers);
  client.run();
  EXPECT_EQ(endpoint.calls(), 20u);
  ASSERT_FALSE(answers.replies[7]);
  EXPECT_EQ(answers.replies[7].error().message, "400: too many tokens");
}

TEST_F(Client, FollowsNoRedirection) {
  ScriptedEndpoint elsewhere(echo);
  ScriptedEndpoint endpoint([&](const ReceivedCall&) {
    return ScriptedAnswer{.status = 307,
                          .headers = {"Location: " + elsewhere.url() + "/chat/completions"}};
  });
  auto client = make(options_for(endpoint.url()));
  Answers answers(1);
  submit_numbered(client, answers);
  client.run();
  EXPECT_FALSE(answers.replies[0]);
  EXPECT_EQ(elsewhere.calls(), 0u);
}

TEST_F(Client, UsesNoProxyInsideTheHouse) {
  ScriptedEndpoint proxy([](const ReceivedCall&) { return says("from the proxy"); });
  ScriptedEndpoint endpoint(echo);
  ::setenv("http_proxy", proxy.url().c_str(), 1);
  auto client = make(options_for(endpoint.url()));
  Answers answers(1);
  submit_numbered(client, answers);
  client.run();
  ::unsetenv("http_proxy");
  expect_echoes(answers);
  EXPECT_EQ(proxy.calls(), 0u);
}

TEST_F(Client, ShowsTheKeyNowhere) {
  const std::string key = "sk-very-secret-0123456789";
  const auto key_file = file("key");
  write_file_atomic(key_file, key + "\n");
  std::filesystem::permissions(key_file, std::filesystem::perms::owner_read);
  ScriptedEndpoint endpoint([&](const ReceivedCall& call) {
    if (call.number < 10) return says("your key is " + key);
    // Long before it, so that its end would be cut off.
    const std::string body =
        R"({"error": {"message": ")" + std::string(270 + call.number % 30, 'x') + key + R"("}})";
    return ScriptedAnswer{.status = call.number < 20 ? 400 : 401, .body = body};
  });
  LlmOptions options = options_for(endpoint.url());
  options.key_file = key_file.string();
  auto client = make(options);
  Answers answers(60);
  submit_numbered(client, answers);
  const std::string half = key.substr(0, key.size() / 2);
  EXPECT_THAT(pause_of(client), Not(HasSubstr(half)));
  for (const auto& reply : answers.replies) {
    EXPECT_THAT(reply ? reply->text : reply.error().message, Not(HasSubstr(half)));
  }
  size_t files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder_.path())) {
    if (entry.path() == key_file) continue;
    ++files;
    EXPECT_THAT(read_file(entry.path()), Not(HasSubstr(key))) << entry.path();
  }
  EXPECT_GE(files, 2u);
}

TEST_F(Client, AsksEqualCallsOnce) {
  ScriptedEndpoint endpoint([](const ReceivedCall& call) {
    ScriptedAnswer answer = echo(call);
    answer.delay = std::chrono::milliseconds(20);
    return answer;
  });
  auto client = make(options_for(endpoint.url()));
  Answers answers(30);
  for (size_t i = 0; i < 30; ++i) client.submit(question(numbered(i % 3)), answers.put(i));
  client.run();
  EXPECT_EQ(endpoint.calls(), 3u);
  for (size_t i = 0; i < 30; ++i) EXPECT_EQ(answers.replies[i]->text, "echo of " + numbered(i % 3));
}

TEST_F(Client, AsksForEachSampleByItself) {
  ScriptedEndpoint endpoint(echo);
  auto client = make(options_for(endpoint.url()));
  Answers answers(5);
  for (size_t i = 0; i < 5; ++i) {
    ChatRequest request = question("the same");
    request.sample = i;
    client.submit(request, answers.put(i));
  }
  client.run();
  EXPECT_EQ(endpoint.calls(), 5u);
}

TEST_F(Client, NeverSpendsMoreThanAllowed) {
  ScriptedEndpoint endpoint(echo);  // 10 + 5 tokens, as it says
  LlmOptions options = options_for(endpoint.url());
  options.price_prompt = 1e6;  // so a token costs 1
  options.price_completion = 1e6;
  options.max_spend = 2000;
  auto client = make(options);
  Answers answers(400);
  for (size_t i = 0; i < 400; ++i) {
    ChatRequest request = question(numbered(i));
    request.max_tokens = 100;
    client.submit(request, answers.put(i));
  }
  EXPECT_THAT(pause_of(client), HasSubstr("llm.max_spend"));
  EXPECT_LE(ledger_.totals().cost, 2000);
  EXPECT_GT(ledger_.totals().cost, 1500);
  EXPECT_EQ(ledger_.totals().cost, 15.0 * static_cast<double>(endpoint.calls()));
}

TEST_F(Client, SendsNoMoreCallsThanAllowed) {
  ScriptedEndpoint endpoint(echo);
  LlmOptions options = options_for(endpoint.url());
  options.max_calls = 20;
  auto client = make(options);
  Answers answers(100);
  submit_numbered(client, answers);
  EXPECT_THAT(pause_of(client), HasSubstr("llm.max_calls: 20 of 20 calls are made: allow more"));
  EXPECT_EQ(endpoint.calls(), 20u);
}

TEST_F(Client, SendsNoMoreThanTheRateAllows) {
  ScriptedEndpoint endpoint(echo);
  LlmOptions options = options_for(endpoint.url());
  options.requests_per_minute = 600;
  auto client = make(options);
  Answers answers(30);
  submit_numbered(client, answers);
  const auto start = std::chrono::steady_clock::now();
  client.run();
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
  expect_echoes(answers);
  EXPECT_GE(took.count(), (30 - 21) / 10.0);  // two seconds' worth and one call may go at once
}

TEST_F(Client, AsksForNoMoreTokensThanTheRateAllows) {
  ScriptedEndpoint endpoint(echo);
  LlmOptions options = options_for(endpoint.url());
  constexpr int64_t kAnswer = 10'000;  // next to which the prompts are nothing
  options.tokens_per_minute = 600 * kAnswer;
  auto client = make(options);
  Answers answers(30);
  for (size_t i = 0; i < 30; ++i) {
    ChatRequest request = question(numbered(i));
    request.max_tokens = kAnswer;
    client.submit(request, answers.put(i));
  }
  const auto start = std::chrono::steady_clock::now();
  client.run();
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
  expect_echoes(answers);
  EXPECT_GE(took.count(), (30 - 21) / 10.0);
}

TEST_F(Client, ReplaysWhatWasRecordedAndSendsNothing) {
  std::string url;
  {
    ScriptedEndpoint endpoint(echo);
    url = endpoint.url();
    auto client = make(options_for(url));
    Answers answers(5);
    submit_numbered(client, answers);
    client.run();
  }
  LlmOptions options = options_for(url);
  options.replay = true;
  auto client = make(options);
  Answers answers(6);
  submit_numbered(client, answers);
  client.run();
  for (size_t i = 0; i < 5; ++i) EXPECT_EQ(answers.replies[i]->text, "echo of " + numbered(i));
  ASSERT_FALSE(answers.replies[5]);
  EXPECT_EQ(answers.replies[5].error().code, ErrorCode::kNotFound);
}

TEST_F(Client, RefusesAnEndpointOutsideTheHouse) {
  LlmOptions options = options_for("http://93.184.216.34/v1");
  try {
    make(options);
    FAIL() << "not refused";
  } catch (const Failure& failure) {
    EXPECT_THAT(failure.what(), HasSubstr(kSent));
    EXPECT_THAT(failure.what(), HasSubstr("llm.allow_external"));
  }
}

// Everything that had come when a consumer of answers gave up is kept.
TEST_F(Client, RecordsWhatIsInFlightWhenItsUserGivesUp) {
  ScriptedEndpoint endpoint([](const ReceivedCall& call) {
    ScriptedAnswer answer = echo(call);
    answer.delay = std::chrono::milliseconds(call.last_message() == numbered(0) ? 0 : 100);
    return answer;
  });
  auto client = make(options_for(endpoint.url()));
  Answers answers(8);
  client.submit(question(numbered(0)), [](const Result<ChatReply>&) { fail_input("enough"); });
  for (size_t i = 1; i < 8; ++i) client.submit(question(numbered(i)), answers.put(i));
  EXPECT_THROW(client.run(), Failure);
  EXPECT_EQ(ledger_.totals().replies, 8);
  EXPECT_EQ(answers.times, std::vector<int>(8, 0));
}

}  // namespace
}  // namespace l2a
