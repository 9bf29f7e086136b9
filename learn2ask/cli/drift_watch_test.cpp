#include "cli/drift_watch.h"

#include <fstream>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/rng.h"
#include "base/testing.h"
#include "hindsight/testing.h"

namespace l2a {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr size_t kSessions = 40, kReplies = 5;

std::vector<LabelledSession> sessions() {
  std::vector<LabelledSession> all;
  for (size_t i = 0; i < kSessions; ++i) {
    Session session = session_of({"u: I cough.", "a: Do you smoke?", "u: I do.", "a: Stop it."});
    session.id = fmt::format("s{}", i);
    all.push_back(label_by_rules(session));
  }
  return all;
}

// Looks on, and finds "Good?" to the point and whatever else not.
class LooksOn final : public Grader {
 public:
  std::string name() const override { return "looks on"; }
  std::vector<Result<Grade>> grade(std::span<const GradeRequest> requests) override {
    std::vector<Result<Grade>> grades;
    for (const GradeRequest& request : requests) {
      ++asked;
      grades.emplace_back(Grade{.content = request.question == "Good?" ? 1.0 : 0.0, .reason = ""});
    }
    return grades;
  }
  size_t asked = 0;
};

class DriftWatchTest : public ::testing::Test {
 protected:
  DriftWatch watch(int64_t every = 1) {
    return {run_.path(),     samples_,
            shipped_forms(), ReplyFormat::kPlain,
            looks_on_,       "rewards",
            every,           [this](const std::string& note) { notes_.push_back(note); }};
  }

  // A step of training: each session's replies, which the rewarding grader likes or not at random
  // and which are good with probability `honest` exactly where it likes them, else at random.
  void train(int64_t step, double honest, size_t in_sessions = kSessions) {
    std::ofstream rollouts(run_ / "rollouts.jsonl", std::ios::app);
    Rng rng(static_cast<uint64_t>(step));
    for (size_t s = 0; s < in_sessions; ++s) {
      for (size_t r = 0; r < kReplies; ++r) {
        const bool liked = rng.chance(0.5), good = rng.chance(honest) ? liked : rng.chance(0.5);
        rollouts << dump_json({{"step", step},
                               {"context", fmt::format("s{}/1", s)},
                               {"text", good ? "Good?" : "Bad?"},
                               {"truncated", false},
                               {"reward", liked ? 4.0 : 2.0},
                               {"micro", liked ? 1.0 : 0.0}})
                 << "\n";
      }
      // None of these is up to the graders.
      for (const char* text : {"<stop />", "No question.", ""}) {
        rollouts << dump_json({{"step", step},
                               {"context", fmt::format("s{}/1", s)},
                               {"text", text},
                               {"truncated", false},
                               {"reward", 0.0},
                               {"micro", 0.0}})
                 << "\n";
      }
    }
  }

  std::vector<Json> lines() {
    std::vector<Json> rows;
    for_each_row(run_ / "drift.jsonl", "drift",
                 [&](JsonLine&& line) { rows.push_back(std::move(line.value)); });
    return rows;
  }
  std::string bytes() { return read_file(run_ / "drift.jsonl"); }

  TempDir run_;
  const std::vector<LabelledSession> sessions_ = sessions();
  const SampleIndex samples_{sessions_};
  LooksOn looks_on_;
  std::vector<std::string> notes_;
};

TEST_F(DriftWatchTest, RaisesNoAlarmWhileTheTwoAgreeAsAtTheStart) {
  auto watching = watch();
  for (int64_t step = 1; step <= 10; ++step) {
    train(step, 0.8);
    watching.after(step);
  }
  EXPECT_THAT(lines(), SizeIs(10));
  EXPECT_THAT(notes_, IsEmpty());
  EXPECT_EQ(looks_on_.asked, 10 * kSessions * kReplies);
  for (const Json& line : lines()) {
    EXPECT_NEAR(line["agreement"]["linear_kappa"]["value"].get<double>(), 0.8, 0.15);
  }
}

TEST_F(DriftWatchTest, RaisesTheAlarmWhereTheyAgreeLess) {
  auto watching = watch(2);
  for (int64_t step = 1; step <= 8; ++step) {
    train(step, step <= 4 ? 0.9 : 0.2);
    watching.after(step);
  }
  const auto rows = lines();
  ASSERT_THAT(rows, SizeIs(4));
  for (size_t i = 0; i < 4; ++i) {
    EXPECT_EQ(rows[i]["step"], 2 * (i + 1));
    EXPECT_EQ(rows[i]["alarm"], i >= 2) << i;
  }
  ASSERT_THAT(notes_, SizeIs(2));
  EXPECT_THAT(notes_[0], HasSubstr("rewards and looks on agree less than at the start"));
}

TEST_F(DriftWatchTest, SaysNothingOfTooFewReplies) {
  auto watching = watch();
  for (int64_t step = 1; step <= 6; ++step) {
    train(step, step <= 3 ? 1.0 : 0.0, 19);  // 95 replies
    watching.after(step);
  }
  EXPECT_THAT(notes_, IsEmpty());
  for (const Json& line : lines()) EXPECT_EQ(line["enough"], false);
}

TEST_F(DriftWatchTest, NamesTheLineThatSomebodyEdited) {
  {
    auto watching = watch();
    for (int64_t step = 1; step <= 2; ++step) {
      train(step, 0.8);
      watching.after(step);
    }
  }
  const std::string untouched = bytes();
  const struct {
    const char *from, *to, *why;
  } edits[] = {{R"("step":1)", R"("step":"1")", "2: 'step': expected a whole number"},
               {R"("agreement")", R"("agreed")", "2: 'agreement': missing"},
               {R"("linear_kappa":{)", R"("linear_kappa":3,"x":{)",
                "2: 'linear_kappa': expected an object"}};
  for (const auto& edit : edits) {
    std::string edited = untouched;
    edited.replace(edited.find(edit.from), std::string(edit.from).size(), edit.to);
    std::ofstream(run_ / "drift.jsonl", std::ios::binary) << edited;
    auto watching = watch();
    EXPECT_THAT(failure_of([&] { watching.after(3); }),
                HasSubstr("drift.jsonl:" + std::string(edit.why)));
  }
}

TEST_F(DriftWatchTest, GoesOnWhereItWasKilled) {
  auto untouched = watch(2);
  for (int64_t step = 1; step <= 9; ++step) {
    train(step, step <= 5 ? 0.9 : 0.2);
    untouched.after(step);
  }
  const std::string expected = bytes();
  const auto alarms = notes_.size();
  // Killed after step `at`, of which the look was done or not; the steps since the checkpoint are
  // trained again, to the same bytes, so that rollouts.jsonl is there already.
  for (int64_t at = 0; at <= 9; ++at) {
    for (const bool looked : {false, true}) {
      std::filesystem::remove(run_ / "drift.jsonl");
      notes_.clear();
      {
        auto killed = watch(2);
        for (int64_t step = 1; step <= at; ++step) {
          if (step < at || looked) killed.after(step);
        }
      }
      auto resumed = watch(2);
      for (int64_t step = std::max<int64_t>(1, at - 1); step <= 9; ++step) resumed.after(step);
      EXPECT_EQ(bytes(), expected) << at << looked;
      EXPECT_EQ(notes_.size(), alarms) << at << looked;
    }
  }
}

}  // namespace
}  // namespace l2a
