// HttpChatClient at endpoints that are out, busy, or refuse everything.
#include <array>

#include <arpa/inet.h>
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include "llm/client_testing.h"

namespace l2a {
namespace {

using testing::HasSubstr;

// Listens, and takes no connection: its queue of two is full.
class FullListener {
 public:
  FullListener() {
    ::listen(sockets_[0], 0);
    sockaddr_in address{};
    socklen_t size = sizeof address;
    ::getsockname(sockets_[0], reinterpret_cast<sockaddr*>(&address), &size);
    port_ = ntohs(address.sin_port);
    for (const int socket : {sockets_[1], sockets_[2]}) {
      ::fcntl(socket, F_SETFL, O_NONBLOCK);
      ::connect(socket, reinterpret_cast<sockaddr*>(&address), size);
    }
  }
  ~FullListener() {
    for (const int socket : sockets_) ::close(socket);
  }
  FullListener(const FullListener&) = delete;
  FullListener& operator=(const FullListener&) = delete;
  std::string url() const { return "http://127.0.0.1:" + std::to_string(port_) + "/v1"; }

 private:
  static int tcp() { return ::socket(AF_INET, SOCK_STREAM, 0); }
  std::array<int, 3> sockets_ = {tcp(), tcp(), tcp()};
  int port_ = 0;
};

// A port where nobody listens, and which nobody else is given meanwhile.
class DeafPort {
 public:
  DeafPort() {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    check(::bind(socket_, reinterpret_cast<sockaddr*>(&address), size) == 0 &&
              ::getsockname(socket_, reinterpret_cast<sockaddr*>(&address), &size) == 0,
          "DeafPort: bind");
    port_ = ntohs(address.sin_port);
  }
  ~DeafPort() { ::close(socket_); }
  DeafPort(const DeafPort&) = delete;
  DeafPort& operator=(const DeafPort&) = delete;
  std::string url() const { return "http://127.0.0.1:" + std::to_string(port_) + "/v1"; }

 private:
  int socket_ = ::socket(AF_INET, SOCK_STREAM, 0);
  int port_ = 0;
};

TEST_F(Client, GivesAConnectionUpLongBeforeACall) {
  const FullListener listener;
  LlmOptions options = options_for(listener.url());
  options.connect_timeout_s = 0.1;
  options.timeout_s = 3600;
  options.max_outage_s = 0.5;
  auto client = make(options);
  Answers answers(1);
  submit_numbered(client, answers);
  EXPECT_NE(pause_of(client), "");
  EXPECT_EQ(ledger_.totals().replies, 0);
  EXPECT_EQ(ledger_.totals().lost, 0);  // nothing was sent that may cost
}

TEST_F(Client, GivesOneCallUpThatAlwaysFailsAndAnswersTheOthers) {
  ScriptedEndpoint endpoint([](const ReceivedCall& call) {
    if (call.last_message() == numbered(3)) return ScriptedAnswer{.status = 500, .body = "poison"};
    return echo(call);
  });
  auto client = make(options_for(endpoint.url()));
  Answers answers(10);
  submit_numbered(client, answers);
  client.run();
  for (size_t i = 0; i < 10; ++i) EXPECT_EQ(static_cast<bool>(answers.replies[i]), i != 3) << i;
  EXPECT_THAT(answers.replies[3].error().message, HasSubstr("500: poison"));
}

TEST_F(Client, TakesManyCallsThatAlwaysFailForNoOutage) {
  ScriptedEndpoint endpoint([](const ReceivedCall& call) {
    return is_probe(call) ? echo(call) : ScriptedAnswer{.status = 500, .body = "poison"};
  });
  auto client = make(options_for(endpoint.url()));
  Answers answers(20);
  submit_numbered(client, answers);
  EXPECT_EQ(pause_of(client), "");
  for (size_t i = 0; i < 20; ++i) {
    EXPECT_EQ(answers.times[i], 1);
    EXPECT_FALSE(answers.replies[i]);
  }
}

TEST_F(Client, WaitsForTheEndOfAnOutageAndLosesNothing) {
  ScriptedEndpoint endpoint([](const ReceivedCall& call) {
    return call.number <= 20 ? ScriptedAnswer{.status = 503, .body = "down"} : echo(call);
  });
  LlmOptions options = options_for(endpoint.url());
  options.max_attempts = 2;  // 20 failures in a row, but no call has more than one of them
  auto client = make(options);
  Answers answers(40);
  submit_numbered(client, answers);
  client.run();
  expect_echoes(answers);
}

TEST_F(Client, LosesOneTryOfALoneCallToAnOutageHoweverLong) {
  ScriptedEndpoint endpoint([](const ReceivedCall& call) {
    return call.number <= 12 ? ScriptedAnswer{.status = 503, .body = "down"} : echo(call);
  });
  LlmOptions options = options_for(endpoint.url());
  options.max_attempts = 2;
  auto client = make(options);
  Answers answers(1);
  submit_numbered(client, answers);
  client.run();
  expect_echoes(answers);
  EXPECT_EQ(ledger_.totals().sent, 2);  // the others were probes
}

TEST_F(Client, GivesUpACallThatIsAlwaysToldToSlowDown) {
  ScriptedEndpoint endpoint([](const ReceivedCall& call) {
    if (call.last_message() != numbered(1)) return echo(call);
    return ScriptedAnswer{.status = 429, .body = "request too large for your rate"};
  });
  LlmOptions options = options_for(endpoint.url());
  options.max_attempts = 2;
  auto client = make(options);
  Answers answers(6);
  submit_numbered(client, answers);
  EXPECT_EQ(pause_of(client), "");
  for (size_t i = 0; i < 6; ++i) EXPECT_EQ(static_cast<bool>(answers.replies[i]), i != 1) << i;
}

TEST_F(Client, PausesAfterALongOutage) {
  ScriptedEndpoint endpoint(
      [](const ReceivedCall&) { return ScriptedAnswer{.manner = Manner::kReset}; });
  LlmOptions options = options_for(endpoint.url());
  options.max_outage_s = 0.3;
  auto client = make(options);
  Answers answers(500);
  submit_numbered(client, answers);
  const std::string why = pause_of(client);
  EXPECT_THAT(why, HasSubstr(endpoint.url()));
  EXPECT_THAT(why, HasSubstr("no answer for 0.3 s"));
  EXPECT_THAT(why, HasSubstr("run the same command again"));
  EXPECT_EQ(answers.times, std::vector<int>(500, 0));  // nothing came of any of them
  EXPECT_LE(ledger_.totals().sent, 8 + Outage::kOpensAfter);
}

TEST_F(Client, PausesWhereNobodyListens) {
  const DeafPort port;
  LlmOptions options = options_for(port.url());
  options.max_outage_s = 0.1;
  options.price_prompt = 1;
  auto client = make(options);
  Answers answers(3);
  submit_numbered(client, answers);
  EXPECT_THAT(pause_of(client), HasSubstr("no answer for 0.1 s"));
  EXPECT_EQ(ledger_.totals().cost, 0);  // nothing was sent
}

TEST_F(Client, WaitsAsLongAsABusyEndpointAsks) {
  using Clock = std::chrono::steady_clock;
  std::mutex mutex;
  Clock::time_point refused, next;
  ScriptedEndpoint endpoint([&](const ReceivedCall& call) {
    const std::lock_guard lock(mutex);
    if (call.number == 1) {
      refused = Clock::now();
      return ScriptedAnswer{.status = 429, .body = "{}", .headers = {"Retry-After: 1"}};
    }
    if (call.number == 2) next = Clock::now();
    return echo(call);
  });
  LlmOptions options = options_for(endpoint.url());
  options.concurrency = 1;
  options.max_attempts = 1;  // being busy is no fault of the call
  auto client = make(options);
  Answers answers(3);
  submit_numbered(client, answers);
  client.run();
  expect_echoes(answers);
  EXPECT_GE(next - refused, std::chrono::milliseconds(990));
}

TEST_F(Client, ComesBackToABusyEndpointThatNamesNoTime) {
  ScriptedEndpoint endpoint([](const ReceivedCall& call) {
    if (is_probe(call) || call.retries() >= 4) return echo(call);
    return ScriptedAnswer{.status = 429, .body = "slow down"};
  });
  LlmOptions options = options_for(endpoint.url());
  options.max_attempts = 2;  // fewer than it takes: being busy is no fault of the call
  auto client = make(options);
  Answers answers(10);
  submit_numbered(client, answers);
  client.run();
  expect_echoes(answers);
}

TEST_F(Client, PausesWhereItWouldHaveToWaitLongerThanAnOutageMayLast) {
  ScriptedEndpoint endpoint([](const ReceivedCall&) {
    return ScriptedAnswer{.status = 429, .body = "{}", .headers = {"Retry-After: 3600"}};
  });
  auto client = make(options_for(endpoint.url()));
  Answers answers(10);
  submit_numbered(client, answers);
  EXPECT_THAT(pause_of(client), HasSubstr("asks to wait for 1 h 00 min"));
}

struct PauseCase {
  const char* name;
  int status;
  std::string body;
  const char* remedy;
};
class Pausing : public Client, public testing::WithParamInterface<PauseCase> {};

// The key expires after 30 answers; with a new key, the run goes on from there.
TEST_P(Pausing, KeepsWhatCameAndGoesOnFromThere) {
  std::atomic<int> answered = 0;
  std::atomic<bool> valid = false;
  ScriptedEndpoint endpoint([&](const ReceivedCall& call) {
    if (!valid && answered >= 30) {
      return ScriptedAnswer{.status = GetParam().status, .body = GetParam().body};
    }
    ++answered;
    return echo(call);
  });
  const LlmOptions options = options_for(endpoint.url());
  {
    auto client = make(options);
    Answers answers(100);
    submit_numbered(client, answers);
    const std::string why = pause_of(client);
    EXPECT_THAT(why, HasSubstr(std::to_string(GetParam().status)));
    EXPECT_THAT(why, HasSubstr(GetParam().remedy));
    EXPECT_THAT(why, HasSubstr("run the same command again"));
    for (size_t i = 0; i < 100; ++i) {
      if (answers.times[i] == 0) continue;
      EXPECT_TRUE(answers.replies[i]) << "a pause became an answer";
    }
  }
  EXPECT_EQ(ledger_.totals().replies, answered);
  valid = true;
  auto client = make(options);
  Answers answers(100);
  submit_numbered(client, answers);
  client.run();
  expect_echoes(answers);
  EXPECT_EQ(answered, 100) << "an answer that had come was asked for again";
}

INSTANTIATE_TEST_SUITE_P(
    Endpoints, Pausing,
    testing::Values(
        PauseCase{"key_expired", 401, R"({"error": {"message": "Incorrect API key"}})",
                  "put a key"},
        PauseCase{"no_money", 402, R"({"error": {"message": "Payment required"}})", "fill the"},
        PauseCase{"forbidden", 403, "no", "put a key"},
        PauseCase{"quota_as_429", 429, R"({"error": {"code": "insufficient_quota"}})", "fill the"},
        PauseCase{"quota_as_type", 400,
                  R"({"error": {"message": "Try later", "type": "insufficient_quota"}})",
                  "fill the"},
        PauseCase{"quota_as_403", 403, R"({"error": "no", "reason": "Insufficient Balance"})",
                  "fill the"},
        PauseCase{
            "quota_after_much_else", 500,
            R"({"error": {"message": ")" + std::string(500, 'x') + R"( insufficient balance"}})",
            "fill the"},
        PauseCase{"quota_as_200", 200, "Your credit balance is too low to go on", "fill the"}),
    [](const auto& test) { return std::string(test.param.name); });

}  // namespace
}  // namespace l2a
