#include "dialogue/timestamp.h"

#include <ctime>

#include <gtest/gtest.h>

#include "base/rng.h"

namespace l2a {
namespace {

TEST(ParseTimestamp, ReadsTheFormsOfLogs) {
  EXPECT_EQ(*parse_timestamp("1970-01-01T00:00:00Z"), 0);
  EXPECT_EQ(*parse_timestamp("1970-01-02 00:00"), 86400);
  EXPECT_EQ(*parse_timestamp("1970-01-01T01:00:00+01:00"), 0);
  EXPECT_EQ(*parse_timestamp("1969-12-31T23:30:00-0030"), 0);
  EXPECT_EQ(*parse_timestamp("1970-01-01T00:00:01.5Z"), 1.5);
  EXPECT_EQ(*parse_timestamp(" 1700000000 "), 1'700'000'000);
  EXPECT_EQ(*parse_timestamp("1700000000.25"), 1'700'000'000.25);
  EXPECT_EQ(*parse_timestamp("2024-02-29 12:00:00"), 1'709'208'000);
}

TEST(ParseTimestamp, AgreesWithTheCLibrary) {
  Rng rng(1);
  for (int i = 0; i < 5000; ++i) {
    const auto seconds = static_cast<std::time_t>(rng.below(4'000'000'000));
    std::tm utc{};
    gmtime_r(&seconds, &utc);
    char text[32];
    std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &utc);
    EXPECT_EQ(*parse_timestamp(text), static_cast<double>(seconds)) << text;
  }
}

TEST(ParseTimestamp, RefusesAnythingElse) {
  for (const char* text :
       {"", "now", "2026-01-31", "2026-02-30T00:00:00Z", "2026-13-01T00:00:00Z",
        "2026-01-01T24:00:00Z", "2026-01-01T00:60:00Z", "2026-01-01T00:00:61Z",
        "2026-01-01T00:00:00X", "2026-01-01T00:00:00+25:00", "2026-01-01T00:00:00Z x",
        "26-01-01T00:00:00Z", "2026-1-1T00:00:00Z", "2026-01-01T00:00:00.Z", "inf", "nan", "1e9"}) {
    const auto time = parse_timestamp(text);
    ASSERT_FALSE(time) << text;
    EXPECT_EQ(time.error().message,
              "expected a time such as 2026-01-31T12:00:00Z, got '" + std::string(text) + "'");
  }
}

TEST(ParseDuration, ReadsANumberAndItsUnit) {
  EXPECT_EQ(*parse_duration("90s"), 90);
  EXPECT_EQ(*parse_duration("30m"), 1800);
  EXPECT_EQ(*parse_duration("1.5h"), 5400);
  EXPECT_EQ(*parse_duration("2d"), 172800);
  for (const char* text : {"", "m", "30", "-1h", "0m", "1w", "1 h", "h1", "nanm", "infh"}) {
    const auto seconds = parse_duration(text);
    ASSERT_FALSE(seconds) << text;
    EXPECT_EQ(seconds.error().message,
              "expected a duration such as 90s, 30m, 2h or 1d, got '" + std::string(text) + "'");
  }
}

}  // namespace
}  // namespace l2a
