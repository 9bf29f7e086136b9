#include "eval/curves.h"

#include <filesystem>

#include <gtest/gtest.h>

#include "base/file.h"

namespace l2a {
namespace {

std::filesystem::path written(const std::string& lines) {
  const auto path = std::filesystem::path(::testing::TempDir()) / "curves_test.jsonl";
  write_file_atomic(path, lines);
  return path;
}

TEST(LearningCurves, DrawWhatTheRowsHaveAndLeaveGapsWhereOneHasNot) {
  const auto curves = learning_curves(
      written("{\"step\": 1, \"loss\": 2.5, \"kl\": null, \"reward\": 1}\n"
              "{\"step\": 2, \"loss\": 2.0, \"held_out\": -1.5, \"time\": {\"seconds\": 3}}\n"),
      "GRPO");
  ASSERT_EQ(curves.size(), 3u);  // no chart of the kl, which no row has
  EXPECT_EQ(curves[0].title, "GRPO: reward");
  EXPECT_EQ(curves[0].series[0].values, (std::vector<std::optional<double>>{1.0, std::nullopt}));
  EXPECT_EQ(curves[1].title, "GRPO: loss");
  EXPECT_EQ(curves[1].steps, (std::vector<double>{1, 2}));
  EXPECT_EQ(dump_json(to_json(curves[2])),
            "{\"title\":\"GRPO: score of held-out sessions, higher is better\",\"steps\":[1.0,2.0],"
            "\"series\":[{\"name\":\"score\",\"values\":[null,-1.5]}]}");
}

TEST(LearningCurves, OfAnEmptyRunAreNone) {
  EXPECT_TRUE(learning_curves(written(""), "SFT").empty());
}

TEST(LearningCurves, SayWhichRowHasNoStep) {
  const auto path = written("{\"step\": 1, \"loss\": 2}\n{\"step\": \"2\", \"loss\": 2}\n");
  try {
    learning_curves(path, "SFT");
    FAIL();
  } catch (const Failure& failure) {
    EXPECT_EQ(failure.error.message, path.string() + ":2: 'step': expected a number, got a string");
  }
}

}  // namespace
}  // namespace l2a
