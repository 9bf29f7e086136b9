#include "llm/retry.h"

#include <algorithm>
#include <cmath>

#include <gtest/gtest.h>

namespace l2a {
namespace {

const std::vector<std::string> kUsual = LlmOptions{}.quota_phrases;

FailureClass class_of(int status, std::string_view error,
                      const std::vector<std::string>& quota_phrases) {
  return classify(status, names_quota(error, quota_phrases));
}

TEST(Classify, GoesByTheStatus) {
  const struct {
    FailureClass expected;
    std::vector<int> statuses;
  } table[] = {
      {FailureClass::kPause, {401, 402, 403}},
      {FailureClass::kBusy, {429}},
      {FailureClass::kRetry, {200, 408, 500, 502, 503, 504, 520, 529}},
      {FailureClass::kRefuse, {301, 302, 307, 400, 404, 405, 413, 422}},
  };
  for (const auto& row : table) {
    for (const int status : row.statuses) {
      EXPECT_EQ(class_of(status, "", kUsual), row.expected) << status;
      EXPECT_EQ(class_of(status, R"({"error": {"message": "slow down"}})", kUsual), row.expected)
          << status;
    }
  }
}

// Bodies as endpoints send them when an account is empty.
TEST(Classify, PausesWhenTheBodySaysThatTheAccountIsUsedUp) {
  for (const char* body :
       {R"({"error": {"message": "You exceeded your current quota, please check your plan",)"
        R"( "type": "insufficient_quota", "code": "insufficient_quota"}})",
        R"({"error": {"message": "Insufficient Balance", "type": "unknown_error"}})",
        R"({"error": {"message": "Your credit balance is too low to access the API."}})",
        R"({"code": "Arrearage", "message": "Access denied"})",
        "{\"error\": {\"message\": \"\u4f59\u989d\u4e0d\u8db3\u6216\u65e0\u53ef\u7528\"}}"}) {
    for (const int status : {400, 402, 403, 429, 500}) {
      EXPECT_EQ(class_of(status, body, kUsual), FailureClass::kPause) << status << " " << body;
    }
  }
}

TEST(Classify, LooksForPhrasesWithoutRegardToCase) {
  const std::vector<std::string> phrases = {"Quota Gone"};
  for (const char* body : {"quota gone", "QUOTA GONE", "the qUOTA gONE.", "Quota Gone"}) {
    EXPECT_EQ(class_of(429, body, phrases), FailureClass::kPause) << body;
  }
  for (const char* body : {"", "quota", "quota  gone", "quota gon", "insufficient_quota"}) {
    EXPECT_EQ(class_of(429, body, phrases), FailureClass::kBusy) << body;
  }
}

TEST(Classify, WithoutPhrasesTheStatusDecides) {
  for (const std::vector<std::string>& phrases :
       {std::vector<std::string>{}, std::vector<std::string>{""}}) {
    EXPECT_EQ(class_of(429, "insufficient_quota", phrases), FailureClass::kBusy);
    EXPECT_EQ(class_of(500, "insufficient_quota", phrases), FailureClass::kRetry);
    EXPECT_EQ(class_of(400, "insufficient_quota", phrases), FailureClass::kRefuse);
    EXPECT_EQ(class_of(402, "", phrases), FailureClass::kPause);
  }
}

TEST(Backoff, DoublesUpToTheLongestAndDrawsFromTheUpperHalf) {
  const struct {
    double first, longest;
  } table[] = {{0.5, 30}, {1, 1}, {0.001, 3600}, {10, 2}};
  for (const auto& row : table) {
    LlmOptions options;
    options.first_wait_s = row.first;
    options.longest_wait_s = row.longest;
    Rng jitter(1);
    double uncapped = row.first;
    for (int64_t attempt = 1; attempt <= 60; ++attempt, uncapped *= 2) {
      const double whole = std::min(row.longest, uncapped);
      double least = INFINITY, most = 0;
      for (int draw = 0; draw < 200; ++draw) {
        const double wait = backoff(options, attempt, jitter).count();
        ASSERT_GE(wait, whole / 2 * (1 - 1e-9)) << attempt;
        ASSERT_LE(wait, whole * (1 + 1e-9)) << attempt;
        least = std::min(least, wait);
        most = std::max(most, wait);
      }
      // The whole half is drawn from: 200 draws miss a fifth of it once in 10^19 times.
      EXPECT_LT(least, whole * 0.6) << attempt;
      EXPECT_GT(most, whole * 0.9) << attempt;
    }
  }
}

TEST(Backoff, OfCallsThatFailedTogetherDiffers) {
  const LlmOptions options;
  Rng one(1), another(2);
  int same = 0;
  for (int64_t attempt = 1; attempt <= 60; ++attempt) {
    const double first = backoff(options, attempt, one).count();
    same += first == backoff(options, attempt, one).count();
    same += first == backoff(options, attempt, another).count();
  }
  EXPECT_EQ(same, 0);
}

}  // namespace
}  // namespace l2a
