#include "base/failure_log.h"

#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "base/testing.h"

namespace l2a {
namespace {

using ::testing::HasSubstr;

struct Job {
  TempDir folder;
  std::filesystem::path path = folder.path() / "out.failures.jsonl";
  FailureLog log;

  explicit Job(double max_rate) : log(path, "try", "things", max_rate) {}

  void end(int count, bool failed) {
    for (int i = 0; i < count; ++i) {
      if (failed) log.add("at " + std::to_string(log.failed()), "broken");
      log.end_one(failed);
    }
  }
  std::string refusal(const std::function<void()>& act) {
    try {
      act();
    } catch (const Failure& failure) {
      return failure.what();
    }
    return "none";
  }
};

TEST(FailuresPath, IsBesideTheOutput) {
  EXPECT_EQ(failures_path("labels/train.jsonl"), "labels/train.failures.jsonl");
  EXPECT_EQ(failures_path("out"), "out.failures.jsonl");
  EXPECT_EQ(failures_path("labels.v1"), "labels.v1.failures.jsonl");
  EXPECT_EQ(failures_path("a.b/c.jsonl"), "a.b/c.failures.jsonl");
}

TEST(FailureLog, KeepsEachFailureInItsLine) {
  Job job(0.5);
  job.end(2, true);
  job.log.add("there", "\"quoted\"\nand more");  // a second failure of a thing counts once
  job.end(2, false);
  job.log.finish();
  EXPECT_EQ(job.log.failed(), 2u);
  EXPECT_EQ(read_file(job.path), R"({"where":"at 0","error":"broken"}
{"where":"at 1","error":"broken"}
{"where":"there","error":"\"quoted\"\nand more"}
)");
}

TEST(FailureLog, LeavesNoFileWithoutFailuresNotEvenAnOlderOne) {
  Job job(0);
  std::ofstream(job.path) << "of an earlier run\n";
  job.end(300, false);
  job.log.finish();
  EXPECT_FALSE(std::filesystem::exists(job.path));
}

TEST(FailureLog, RefusesPastTheShareOfAllAndKeepsTheFile) {
  Job job(0.25);
  job.end(3, false);
  job.end(1, true);
  Job at_the_limit(0.25);
  at_the_limit.end(3, false);
  at_the_limit.end(1, true);
  at_the_limit.log.finish();
  job.end(1, true);
  EXPECT_THAT(job.refusal([&] { job.log.finish(); }),
              HasSubstr("try: 2 of 5 things failed, more than max_failure_rate 0.25: first: at 0: "
                        "broken (all of them: " +
                        job.path.string() + ")"));
  EXPECT_TRUE(std::filesystem::exists(job.path));
}

TEST(FailureLog, RefusesAsSoonAsTheLastTwoHundredAreTooMany) {
  Job job(0.05);
  job.end(1000, false);
  job.end(10, true);  // 10 of the last 200: as many as may
  EXPECT_THAT(job.refusal([&] { job.end(1, true); }),
              HasSubstr("try: 11 of the last 200 things failed"));
  EXPECT_TRUE(std::filesystem::exists(job.path));
  Job older(0.05);
  for (int i = 0; i < 5; ++i) {  // never more than 10 in any 200
    older.end(10, true);
    older.end(190, false);
  }
  older.log.finish();
  EXPECT_EQ(older.log.failed(), 50u);
}

}  // namespace
}  // namespace l2a
