#include "llm/outage.h"

#include <algorithm>

#include <gtest/gtest.h>

namespace l2a {
namespace {

using Time = Outage::Time;
using Seconds = Outage::Seconds;

Time at(double second) {
  return Time{} + std::chrono::ceil<Time::duration>(Seconds(1'000 + second));
}

class OutageTest : public ::testing::Test {
 protected:
  static LlmOptions options_of_test() {
    LlmOptions options;
    options.first_wait_s = 1;
    options.longest_wait_s = 8;
    options.max_outage_s = 100;
    return options;
  }
  void fail_times(int times, double second) {
    for (int i = 0; i < times; ++i) outage_.on_failure(at(second), false, jitter_);
  }

  LlmOptions options_ = options_of_test();
  Rng jitter_{1};
  Outage outage_{options_};
};

TEST_F(OutageTest, IsSeenAtTheFifthFailure) {
  EXPECT_FALSE(outage_.open());
  for (int failures = 1; failures <= 4; ++failures) {
    fail_times(1, failures);
    EXPECT_FALSE(outage_.open()) << failures;
    EXPECT_LE(outage_.held_until(), at(failures)) << failures;  // one call's failure holds no other
  }
  fail_times(1, 5);
  EXPECT_TRUE(outage_.open());
  EXPECT_GT(outage_.held_until(), at(5));
}

TEST_F(OutageTest, IsSeenAtOnceWhereNothingElseIsInFlight) {
  outage_.on_failure(at(0), true, jitter_);
  EXPECT_TRUE(outage_.open());
  EXPECT_GT(outage_.held_until(), at(0));
  outage_.on_sign_of_life();
  EXPECT_FALSE(outage_.open());
  outage_.on_busy(at(5), true, Seconds(0), jitter_);
  EXPECT_TRUE(outage_.open());
}

TEST_F(OutageTest, EndsWithASignOfLife) {
  fail_times(7, 0);
  EXPECT_TRUE(outage_.open());
  outage_.on_sign_of_life();
  EXPECT_FALSE(outage_.open());
  fail_times(4, 50);
  EXPECT_FALSE(outage_.open());
  outage_.on_sign_of_life();
  fail_times(4, 60);
  EXPECT_FALSE(outage_.open());  // not five in a row
  fail_times(1, 60);
  EXPECT_TRUE(outage_.open());
}

TEST_F(OutageTest, IsNotSeenInAnEndpointThatIsBusy) {
  for (int i = 0; i < 100; ++i) outage_.on_busy(at(i), false, Seconds(0), jitter_);
  EXPECT_FALSE(outage_.open());
}

TEST_F(OutageTest, ProbesAtGrowingDistance) {
  fail_times(4, 0);
  double whole = 1, now = 0;
  for (int probe = 0; probe < 12; ++probe) {
    outage_.on_failure(at(now), false, jitter_);
    const double wait = Seconds(outage_.held_until() - at(now)).count();
    EXPECT_GE(wait, whole / 2 - 1e-6) << probe;
    EXPECT_LE(wait, whole + 1e-6) << probe;
    now += 20;
    whole = std::min(8.0, 2 * whole);
  }
}

TEST_F(OutageTest, WaitsShortAgainInTheNextOne) {
  fail_times(30, 0);
  outage_.on_sign_of_life();
  fail_times(5, 50);
  EXPECT_LE(outage_.held_until(), at(51.001));
}

TEST_F(OutageTest, IsTooLongWithoutASignOfLife) {
  EXPECT_FALSE(outage_.too_long(at(1e6)));  // nothing was asked
  fail_times(1, 10);
  EXPECT_FALSE(outage_.too_long(at(10)));
  fail_times(6, 60);
  EXPECT_FALSE(outage_.too_long(at(109)));
  EXPECT_TRUE(outage_.too_long(at(111)));
  outage_.on_sign_of_life();
  EXPECT_FALSE(outage_.too_long(at(111)));
  fail_times(1, 200);
  EXPECT_FALSE(outage_.too_long(at(299)));
  EXPECT_TRUE(outage_.too_long(at(301)));
}

TEST_F(OutageTest, IsTooLongAlsoWhenTheEndpointIsOnlyBusy) {
  for (int second = 0; second <= 100; second += 10) {
    outage_.on_busy(at(second), false, Seconds(0), jitter_);
    EXPECT_FALSE(outage_.too_long(at(second))) << second;
  }
  EXPECT_TRUE(outage_.too_long(at(101)));
  outage_.on_sign_of_life();
  EXPECT_FALSE(outage_.too_long(at(101)));
}

TEST_F(OutageTest, CountsFromWhateverCameFirst) {
  outage_.on_busy(at(0), false, Seconds(0), jitter_);
  fail_times(1, 90);
  EXPECT_TRUE(outage_.too_long(at(101)));
  outage_.on_sign_of_life();
  fail_times(1, 200);
  outage_.on_busy(at(290), false, Seconds(0), jitter_);
  EXPECT_TRUE(outage_.too_long(at(301)));
}

TEST_F(OutageTest, IsNotMadeLongerByTimeWithoutCalls) {
  outage_.on_start(at(0));
  EXPECT_FALSE(outage_.too_long(at(1e6)));  // nothing has failed
  fail_times(1, 0);
  outage_.on_start(at(5'000));
  EXPECT_FALSE(outage_.too_long(at(5'000)));
  EXPECT_FALSE(outage_.too_long(at(5'099)));
  EXPECT_TRUE(outage_.too_long(at(5'101)));
}

TEST_F(OutageTest, HoldingNeverShortensAHold) {
  outage_.hold(at(0), Seconds(50));
  EXPECT_GE(outage_.held_until(), at(50));
  EXPECT_LE(outage_.held_until(), at(50.001));
  const Time until = outage_.held_until();
  outage_.hold(at(1), Seconds(0));
  outage_.hold(at(2), Seconds(10));
  fail_times(6, 3);
  EXPECT_EQ(outage_.held_until(), until);
  outage_.hold(at(10), Seconds(60));
  EXPECT_GE(outage_.held_until(), at(70));
}

}  // namespace
}  // namespace l2a
