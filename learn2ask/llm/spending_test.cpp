#include "llm/spending.h"

#include <numeric>
#include <utility>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/rng.h"
#include "base/testing.h"

namespace l2a {
namespace {

using ::testing::HasSubstr;

LlmOptions prices(double prompt, double completion, double max_spend = 0) {
  LlmOptions options;
  options.price_prompt = prompt;
  options.price_completion = completion;
  options.max_spend = max_spend;
  return options;
}

TEST(CostOf, IsThePriceOfAMillionTokensShared) {
  EXPECT_DOUBLE_EQ(cost_of({1'000'000, 0}, prices(3, 15)), 3);
  EXPECT_DOUBLE_EQ(cost_of({0, 1'000'000}, prices(3, 15)), 15);
  EXPECT_DOUBLE_EQ(cost_of({500'000, 250'000}, prices(2, 8)), 3);
  EXPECT_DOUBLE_EQ(cost_of({1'000, 200}, prices(0.15, 0.6)), 0.00027);
  EXPECT_DOUBLE_EQ(cost_of({0, 0}, prices(3, 15)), 0);
  EXPECT_DOUBLE_EQ(cost_of({1'000'000, 1'000'000}, prices(0, 0)), 0);
}

TEST(OptionsOfModel, HaveItsPricesOrThoseOfAll) {
  LlmOptions options = prices(1, 2);
  options.prices = {"judge=0.15/0.6", "org/model=v1/x=3/15", "free=0/0"};
  const auto priced = [&](const std::string& model) {
    const LlmOptions own = options_of_model(options, model);
    EXPECT_EQ(own.model, model);
    return std::pair(own.price_prompt, own.price_completion);
  };
  EXPECT_EQ(priced("judge"), std::pair(0.15, 0.6));
  EXPECT_EQ(priced("org/model=v1/x"), std::pair(3.0, 15.0));
  EXPECT_EQ(priced("free"), std::pair(0.0, 0.0));
  EXPECT_EQ(priced("other"), std::pair(1.0, 2.0));
}

TEST(OptionsOfModel, RefuseWhatIsNoPrice) {
  for (const char* entry : {"judge", "judge=1", "judge=1/", "judge=/2", "=1/2", "judge=1/2/x", "",
                            "judge=-1/2", "judge=nan/1", "judge=1e9/1", "judge= 1/2"}) {
    LlmOptions options;
    options.prices = {"fine=1/2", entry};
    EXPECT_THAT(failure_of([&] { options_of_model(options, "fine"); }),
                HasSubstr(std::string("llm.prices: '") + entry + "'"));
  }
  LlmOptions twice;
  twice.prices = {"judge=1/2", "judge=3/4"};
  EXPECT_THAT(failure_of([&] { options_of_model(twice, "other"); }), HasSubstr("stands twice"));
}

// A name mistyped in the list would leave what may be spent without any limit.
TEST(OptionsOfModel, RefuseALimitThatNoPriceKeeps) {
  LlmOptions options = prices(0, 0, 5);
  EXPECT_THAT(failure_of([&] { options_of_model(options, "judge"); }),
              HasSubstr("llm.max_spend: needs llm.price_prompt"));
  options.prices = {"jugde=3/15", "free=0/0"};
  EXPECT_THAT(failure_of([&] { options_of_model(options, "judge"); }), HasSubstr("'judge'"));
  EXPECT_EQ(options_of_model(options, "free").price_prompt, 0);
  EXPECT_EQ(options_of_model(options, "jugde").price_prompt, 3);
  options.price_completion = 1;
  EXPECT_EQ(options_of_model(options, "judge").price_completion, 1);
}

TEST(HighestCost, IsNeverBelowThatOfATokenAByteAndTheLongestAnswer) {
  Rng rng(1);
  for (int i = 0; i < 1'000; ++i) {
    ChatRequest request{.messages = {}, .max_tokens = static_cast<int64_t>(rng.below(5'000))};
    TokenUsage usage{.prompt = 0, .completion = request.max_tokens};
    for (uint64_t n = rng.below(6); n > 0; --n) {
      std::string text;
      for (uint64_t words = rng.below(200); words > 0; --words) {
        text += rng.chance(0.5) ? "word " : "\u4f59\u989d";  // five bytes, six bytes
      }
      usage.prompt += static_cast<int64_t>(text.size());
      request.messages.push_back({rng.chance(0.5) ? "user" : "assistant", text});
    }
    const LlmOptions options = prices(10 * rng.uniform(), 40 * rng.uniform());
    EXPECT_GE(highest_cost(request, options), cost_of(usage, options));
  }
}

// A chat template puts a few tokens around each message.
TEST(HighestCost, CountsWhatIsPutAroundMessages) {
  const LlmOptions options = prices(1e6, 0);  // the cost is the number of the prompt's tokens
  ChatRequest request{.messages = {}, .max_tokens = 100};
  double before = highest_cost(request, options);
  for (int i = 0; i < 5; ++i) {
    request.messages.push_back({"user", "x"});
    const double cost = highest_cost(request, options);
    EXPECT_GE(cost, before + 1 + 4);  // the text, and the four of ChatML: start, role, end, newline
    before = cost;
  }
}

TEST(EstimatedPromptTokens, AreAboutThoseOfEnglish) {
  std::string text;
  for (int i = 0; i < 1'000; ++i) text += "The cat sat on a mat. ";  // 7 tokens, 22 bytes
  const int64_t tokens = estimated_prompt_tokens({.messages = {{"user", text}}});
  EXPECT_GT(tokens, 3'500);
  EXPECT_LT(tokens, 14'000);
}

// A ledger, in memory, of calls that came to `cost`.
struct Spent {
  explicit Spent(double cost) { add(cost); }
  void add(double cost) { ledger.done("call", 1, {.outcome = "reply", .cost = cost}); }
  Ledger ledger;
};

// A call has ended: what was reserved for it is free, what it cost is spent.
void settle(Budget& budget, Spent& spent, double reserved, double cost) {
  spent.add(cost);
  budget.release(reserved);
}

bool fits(Budget& budget, double cost) { return !budget.reserve(cost); }

TEST(Budget, ReservesUpToItsLimitAndNoFurther) {
  Spent ledger(0);
  Budget budget(prices(1, 1, 10), ledger.ledger);
  EXPECT_TRUE(fits(budget, 6));
  EXPECT_FALSE(fits(budget, 5));
  EXPECT_TRUE(fits(budget, 4));  // the refused 5 are not reserved
  EXPECT_FALSE(fits(budget, 0.001));
  settle(budget, ledger, 6, 2);
  EXPECT_DOUBLE_EQ(budget.spent(), 2);
  EXPECT_FALSE(fits(budget, 5));
  EXPECT_TRUE(fits(budget, 4));
  settle(budget, ledger, 4, 4);
  settle(budget, ledger, 4, 0);
  EXPECT_DOUBLE_EQ(budget.spent(), 6);
}

TEST(Budget, CountsWhatEarlierProcessesSpent) {
  const Spent seven(7), twelve(12);
  Budget budget(prices(1, 1, 10), seven.ledger);
  EXPECT_DOUBLE_EQ(budget.spent(), 7);
  EXPECT_FALSE(fits(budget, 4));
  EXPECT_TRUE(fits(budget, 3));
  Budget overspent(prices(1, 1, 10), twelve.ledger);
  EXPECT_FALSE(fits(overspent, 1));
}

TEST(Budget, IsSharedByTheClientsOfALedger) {
  Spent ledger(0);
  Budget one(prices(1, 1, 10), ledger.ledger), other(prices(1, 1, 10), ledger.ledger);
  EXPECT_TRUE(fits(one, 6));
  settle(one, ledger, 6, 6);
  EXPECT_FALSE(fits(other, 5));
}

TEST(Budget, AllowsSoManyCallsOfAllRunsTogether) {
  Ledger ledger;
  LlmOptions options;
  options.max_calls = 3;
  for (int64_t call = 0; call < 3; ++call) {
    Budget budget(options, ledger);  // each in a run of its own
    EXPECT_TRUE(fits(budget, 1));
    ledger.sent("call", 1, 1);
  }
  EXPECT_THAT(Budget(options, ledger).reserve(0).value(), HasSubstr("llm.max_calls: 3 of 3 calls"));
}

TEST(Budget, IsNeverOverspentByCallsInFlightTogether) {
  constexpr double kLimit = 50;
  Rng rng(2);
  int accepted = 0, refused = 0;
  for (int round = 0; round < 50; ++round) {
    Spent ledger(0);
    Budget budget(prices(1, 1, kLimit), ledger.ledger);
    std::vector<double> in_flight;
    double spent = 0;
    for (int step = 0; step < 400; ++step) {
      const double reserved = std::accumulate(in_flight.begin(), in_flight.end(), 0.0);
      ASSERT_LE(spent + reserved, kLimit + 1e-9);
      ASSERT_NEAR(budget.spent(), spent, 1e-9);
      if (in_flight.empty() || rng.chance(0.6)) {
        const double cost = 3 * rng.uniform();
        const bool reserved_it = fits(budget, cost);
        (reserved_it ? accepted : refused) += 1;
        if (reserved_it) {
          in_flight.push_back(cost);
        } else {
          ASSERT_GT(spent + reserved + cost, kLimit - 1e-9);  // refused without need
        }
      } else {
        std::swap(in_flight[rng.below(in_flight.size())], in_flight.back());
        const double cost = in_flight.back() * rng.uniform();
        settle(budget, ledger, in_flight.back(), cost);
        in_flight.pop_back();
        spent += cost;
      }
    }
  }
  EXPECT_GT(accepted, 1'000);
  EXPECT_GT(refused, 1'000);
}

TEST(Budget, WithoutALimitEverythingFits) {
  const Spent much(1e9);
  Budget budget(prices(0, 0, 0), much.ledger);
  for (int i = 0; i < 100; ++i) EXPECT_TRUE(fits(budget, 1e9));
}

}  // namespace
}  // namespace l2a
