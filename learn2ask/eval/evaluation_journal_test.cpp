#include "eval/evaluation_journal.h"

#include <fstream>

#include <gtest/gtest.h>

#include "base/testing.h"
#include "eval/evaluate.h"
#include "eval/testing.h"

namespace l2a {
namespace {

using testing::make_session;

QuestionForms forms() { return QuestionForms::load(L2A_SOURCE_DIR "/prompts/questions"); }

FileHeader header_of(const std::string& policy) {
  return {.format = {},
          .version = 1,
          .command = "test",
          .config_sha256 = "c0",
          .input_sha256 = "1a",
          .extra = {{"policy", policy}}};
}

std::vector<LabelledSession> seven_sessions() {
  std::vector<LabelledSession> sessions;
  for (const char* id : {"a", "b", "c", "d", "e", "f", "g"}) {
    sessions.push_back(
        make_session(id, {"It hurts.", "Since when?", "Two days.", "How old are you?",
                          std::string("\u00e9 ") + id, "Take a rest."}));
  }
  return sessions;
}

// Asks what depends on the context, counts the contexts, and is killed before context `dies_at`.
class CountingPolicy : public Policy {
 public:
  std::string name() const override { return "counting"; }
  std::vector<std::vector<Reply>> reply(std::span<const Context> contexts,
                                        const DecodingOptions& options) override {
    std::vector<std::vector<Reply>> replies;
    for (const Context& context : contexts) {
      if (asked == dies_at) fail(ErrorCode::kUnavailable, "killed");
      ++asked;
      const std::string text = context.id.ends_with("/3") ? "How old are you in " + context.id + "?"
                               : context.id.ends_with("/1") ? "Since when?"
                                                            : "<stop />";
      replies.emplace_back(static_cast<size_t>(options.replies), Reply{text, false});
    }
    return replies;
  }
  size_t asked = 0, dies_at = SIZE_MAX;
};

// Grades by the question's length, and fails for some.
class LengthGrader : public Grader {
 public:
  explicit LengthGrader(size_t unit) : unit_(unit) {}
  std::string name() const override { return "length"; }
  std::vector<Result<Grade>> grade(std::span<const GradeRequest> requests) override {
    std::vector<Result<Grade>> grades;
    for (const GradeRequest& request : requests) {
      if (request.context_id == "c/3") {
        grades.push_back(Error{ErrorCode::kUnavailable, "grader: down"});
      } else {
        grades.push_back(Grade{1.0 / static_cast<double>(unit_ + request.question.size()), "n"});
      }
    }
    return grades;
  }

 private:
  size_t unit_;
};

// The rows of an evaluation as text; batches of two sessions, two graders.
std::vector<std::string> rows_with(CountingPolicy& policy, EvaluationJournal* journal) {
  const auto sessions = seven_sessions();
  LengthGrader first(3), second(7);
  Grader* const graders[] = {&first, &second};
  EvaluationOptions options;
  options.decoding.replies = 2;
  options.sessions_per_batch = 2;
  options.max_failure_rate = 0.1;
  options.journal = journal;
  std::vector<std::string> rows;
  for (const auto& e : evaluate(policy, sessions, graders, forms(), options, [](size_t) {})) {
    for (const ScoredRow& row : e.rows) rows.push_back(dump_json(to_json(row)));
  }
  return rows;
}

std::vector<std::string> lines_of(const std::filesystem::path& path) {
  std::vector<std::string> lines;
  std::ifstream in(path);
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

TEST(EvaluationJournal, GoesOnAfterTheLastFinishedBatchAndGivesTheSameRows) {
  CountingPolicy whole;
  const auto expected = rows_with(whole, nullptr);
  ASSERT_EQ(whole.asked, 21u);
  for (const size_t dies_at : {0, 1, 5, 6, 7, 13, 20}) {
    TempDir dir;
    const auto open = [&] { return EvaluationJournal(dir / "j", header_of("p"), 2); };
    CountingPolicy policy;
    policy.dies_at = dies_at;
    {
      auto journal = open();
      EXPECT_EQ(failure_of([&] { rows_with(policy, &journal); }), "killed");
    }
    auto journal = open();
    EXPECT_EQ(journal.sessions_found(), 2 * (dies_at / 6));
    CountingPolicy again;
    EXPECT_EQ(rows_with(again, &journal), expected) << dies_at;
    EXPECT_EQ(again.asked, 21 - 6 * (dies_at / 6)) << dies_at;
  }
}

// The same command, run when the grader is mended, grades that batch anew.
TEST(EvaluationJournal, DoesNotKeepTheBatchOfAGraderThatFailedTooOften) {
  class Down : public Grader {
   public:
    std::string name() const override { return "down"; }
    std::vector<Result<Grade>> grade(std::span<const GradeRequest> requests) override {
      return std::vector<Result<Grade>>(requests.size(), Error{ErrorCode::kUnavailable, "down"});
    }
  };
  TempDir dir;
  const auto sessions = seven_sessions();
  {
    Down down;
    Grader* const graders[] = {&down};
    CountingPolicy policy;
    EvaluationJournal journal(dir / "j", header_of("p"), 1);
    const EvaluationOptions options{.sessions_per_batch = 7, .journal = &journal};
    const auto message =
        failure_of([&] { evaluate(policy, sessions, graders, forms(), options, [](size_t) {}); });
    EXPECT_EQ(message.substr(0, message.find(": 1")), "evaluate: grader down");
  }
  EXPECT_EQ(EvaluationJournal(dir / "j", header_of("p"), 1).sessions_found(), 0u);
}

// A kill leaves any prefix of the file.
TEST(EvaluationJournal, GoesOnFromWhateverAKillLeaves) {
  TempDir dir;
  CountingPolicy whole;
  EvaluationJournal journal(dir / "whole", header_of("p"), 2);
  const auto expected = rows_with(whole, &journal);
  const auto lines = lines_of(dir / "whole");
  ASSERT_EQ(lines.size(), 1 + 4 + 2 * 2 * 21);  // header, batches' ends, rows
  for (size_t kept = 0; kept <= lines.size(); kept += 3) {
    std::ofstream cut(dir / "cut");
    for (size_t i = 0; i < kept; ++i) cut << lines[i] << '\n';
    if (kept < lines.size()) cut << lines[kept].substr(0, lines[kept].size() / 2);
    cut.close();
    CountingPolicy policy;
    EvaluationJournal found(dir / "cut", header_of("p"), 2);
    EXPECT_EQ(rows_with(policy, &found), expected) << kept;
    EXPECT_EQ(lines_of(dir / "cut"), lines) << kept;
  }
}

TEST(EvaluationJournal, RefusesAnotherEvaluationAndNamesWhatDiffers) {
  TempDir dir;
  const auto path = dir / "j";
  {
    EvaluationJournal(path, header_of("p"), 2);
  }
  const auto refusal = [&](const FileHeader& header) {
    return failure_of([&] { EvaluationJournal(path, header, 2); });
  };
  const auto message = [&](const char* what) {
    return "evaluation: " + path.string() + ": was started with another '" + what +
           "': give another --out, or the arguments of that evaluation; or remove the file to "
           "start anew";
  };
  EXPECT_EQ(refusal(header_of("q")), message("policy"));
  FileHeader other = header_of("p");
  other.input_sha256 = "2b";
  EXPECT_EQ(refusal(other), message("input"));
  other = header_of("p");
  other.config_sha256 = "c1";
  EXPECT_EQ(refusal(other), message("config"));
  other = header_of("p");
  other.extra["grader"] = "words";
  EXPECT_EQ(refusal(other), message("grader"));

  other = header_of("p");
  other.command = "the same from another folder";
  EXPECT_EQ(EvaluationJournal(path, other, 2).sessions_found(), 0u);
}

TEST(EvaluationJournal, RefusesALineThatIsNoneOfIts) {
  TempDir dir;
  const auto path = dir / "j";
  const std::string header = [&] {
    EvaluationJournal(path, header_of("p"), 2);
    return lines_of(path)[0];
  }();
  const std::string at = path.string() + ":2: ";
  const struct {
    const char* line;
    std::string message;
  } cases[] = {
      {"{\"sessions_done\": 0}",
       at + "'sessions_done': expected a growing count (remove the file)"},
      {"{\"sessions_done\": -1}",
       at + "'sessions_done': expected a growing count (remove the file)"},
      {"{\"sessions_done\": \"2\"}",
       at + "'sessions_done': expected a growing count (remove the file)"},
      {"{}", at + "'session': missing (remove the file)"},
      {"[]", at + "expected a JSON object"},
  };
  for (const auto& c : cases) {
    std::ofstream(path) << header << '\n' << c.line << '\n';
    EXPECT_EQ(failure_of([&] { EvaluationJournal(path, header_of("p"), 2); }), c.message);
  }
}

}  // namespace
}  // namespace l2a
