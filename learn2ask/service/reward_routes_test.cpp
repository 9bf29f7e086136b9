#include "service/reward_routes.h"

#include <atomic>
#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/testing.h"
#include "hindsight/testing.h"
#include "service/testing.h"

namespace l2a {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

ScoredReply scored(double reward) {
  return {.action = Action{},
          .parts = RewardParts{.macro = 1, .micro = 0.5, .format = 1},
          .reward = reward,
          .reason = ""};
}
ScoredReply unscored() {
  return {.action = Action{}, .parts = {}, .reward = {}, .reason = "the judge is away"};
}

// Rewards a reply by its length, and is asked as `score` says.
class RewardRoutesTest : public ::testing::Test {
 protected:
  using Score = std::function<std::vector<ScoredReply>(std::span<const ScoreRequest>, uint64_t)>;

  void serve(Score score, double patience_s = 5, Json prompts = {{"judge", "ab12"}}) {
    routes_.emplace(server_, samples_, std::move(score),
                    RewardSource{.highest = 4, .prompts = std::move(prompts)},
                    std::chrono::duration<double>(patience_s));
    thread_ = std::thread([this] { server_.run(); });
  }
  void TearDown() override {
    server_.stop();
    if (thread_.joinable()) thread_.join();
  }
  std::string ask(const std::string& path, const Json& body) const {
    const std::string text = dump_json(body);
    const std::string url = server_.url();
    const std::string host = url.substr(url.rfind('/') + 1);
    Connection connection(std::stoi(host.substr(host.rfind(':') + 1)));
    connection.say("POST " + path + " HTTP/1.1\r\nHost: " + host +
                   "\r\nContent-Length: " + std::to_string(text.size()) + "\r\n\r\n" + text);
    return connection.hear();
  }
  std::string ask_verl(const std::vector<std::string>& replies) const {
    return ask("/verl", {{"ground_truths", std::vector<std::string>(replies.size(), "s/1")},
                         {"solution_strs", replies}});
  }

  const std::vector<LabelledSession> sessions_ = {
      label_by_rules({"u: I cough.", "a: Do you smoke?", "u: I do.", "a: Stop it."})};
  const SampleIndex samples_{sessions_};
  HttpServer server_{{}};
  std::optional<RewardRoutes> routes_;
  std::thread thread_;
};

std::vector<ScoredReply> by_length(std::span<const ScoreRequest> requests) {
  std::vector<ScoredReply> replies;
  for (const ScoreRequest& request : requests) {
    replies.push_back(scored(static_cast<double>(request.reply.text.size())));
  }
  return replies;
}

TEST_F(RewardRoutesTest, AnswersEachOfManyWithItsOwn) {
  std::atomic<size_t> rounds = 0;
  std::atomic<bool> scoring = false;
  serve([&](std::span<const ScoreRequest> requests, uint64_t) {
    EXPECT_FALSE(scoring.exchange(true)) << "two at a time";
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    ++rounds;
    scoring = false;
    return by_length(requests);
  });
  std::vector<std::thread> clients;
  for (size_t c = 1; c <= 32; ++c) {
    clients.emplace_back([this, c] {
      const auto said = ask_verl({std::string(c, 'x'), std::string(2 * c, 'x')});
      EXPECT_THAT(said, HasSubstr("{\"scores\":[" + std::to_string(c) + ".0," +
                                  std::to_string(2 * c) + ".0]}"));
    });
  }
  for (std::thread& client : clients) client.join();
  EXPECT_LT(rounds, 32u) << "those that wait are scored together";
}

TEST_F(RewardRoutesTest, ScoresAgainWhatIsUnscoredAndNothingElse) {
  std::vector<std::pair<uint64_t, std::vector<std::string>>> asked;
  serve([&](std::span<const ScoreRequest> requests, uint64_t attempt) {
    auto replies = by_length(requests);
    asked.emplace_back(attempt, std::vector<std::string>());
    for (size_t i = 0; i < requests.size(); ++i) {
      asked.back().second.push_back(requests[i].reply.text);
      if (requests[i].reply.text.size() > attempt + 1) replies[i] = unscored();
    }
    return replies;
  });
  EXPECT_THAT(ask_verl({"a", "bbb", "cc"}), HasSubstr("{\"scores\":[1.0,3.0,2.0]}"));
  EXPECT_THAT(asked,
              ::testing::ElementsAre(::testing::Pair(0, ::testing::ElementsAre("a", "bbb", "cc")),
                                     ::testing::Pair(1, ::testing::ElementsAre("bbb", "cc")),
                                     ::testing::Pair(2, ::testing::ElementsAre("bbb"))));
}

TEST_F(RewardRoutesTest, SaysWhenAReplyStaysUnscored) {
  serve([](std::span<const ScoreRequest> requests,
           uint64_t) { return std::vector<ScoredReply>(requests.size(), unscored()); },
        0.3);
  const auto refused = ask_verl({"Why?"});
  EXPECT_THAT(refused, StartsWith("HTTP/1.1 503"));
  EXPECT_THAT(refused, HasSubstr("Retry-After: "));
  EXPECT_THAT(refused, HasSubstr("the judge is away"));
  const auto null = ask("/trl", {{"samples", {"s/1"}}, {"completions", {"Why?"}}});
  EXPECT_THAT(null, HasSubstr("{\"rewards\":[null]}"));
}

TEST_F(RewardRoutesTest, DoesNotScoreAgainWhatCannotChange) {
  size_t times = 0;
  serve(
      [&](std::span<const ScoreRequest> requests, uint64_t) {
        ++times;
        return std::vector<ScoredReply>(requests.size(), unscored());
      },
      3600, Json::object());
  EXPECT_THAT(ask_verl({"Why?"}), StartsWith("HTTP/1.1 503"));
  EXPECT_EQ(times, 1u);
}

TEST_F(RewardRoutesTest, EndsWithWhatEndsTheScoring) {
  constexpr size_t kClients = 8;
  std::set<std::string> seen;
  serve([&](std::span<const ScoreRequest> requests, uint64_t) -> std::vector<ScoredReply> {
    for (const ScoreRequest& request : requests) seen.insert(request.reply.text);
    // A server that ends lets nobody in: all have to be there before.
    if (seen.size() < kClients) return std::vector<ScoredReply>(requests.size(), unscored());
    std::this_thread::sleep_for(std::chrono::milliseconds(300));  // who has no score asks again
    fail(ErrorCode::kUnavailable, "the account is empty");
  });
  std::vector<std::thread> clients;
  for (size_t c = 0; c < kClients; ++c) {
    clients.emplace_back([this, c] {
      EXPECT_THAT(ask_verl({"Why " + std::to_string(c) + "?"}), StartsWith("HTTP/1.1 503"));
    });
  }
  for (std::thread& client : clients) client.join();
  thread_.join();  // the server ends by itself
  EXPECT_EQ(failure_of([&] { routes_->finish(); }), "the account is empty");
}

TEST_F(RewardRoutesTest, ADefectOfTheScoringEndsItToo) {
  serve([&](std::span<const ScoreRequest>, uint64_t) -> std::vector<ScoredReply> {
    throw std::runtime_error("broken");
  });
  EXPECT_THAT(ask_verl({"Why?"}), StartsWith("HTTP/1.1 500"));
  thread_.join();
  EXPECT_THAT(failure_of([&] { routes_->finish(); }), HasSubstr("broken"));
}

}  // namespace
}  // namespace l2a
