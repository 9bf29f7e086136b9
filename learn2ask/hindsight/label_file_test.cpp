#include "hindsight/label_file.h"

#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/file.h"
#include "base/jsonl.h"
#include "hindsight/inspect.h"
#include "hindsight/testing.h"

namespace l2a {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

class LabelFile : public ::testing::Test {
 protected:
  LabelFile() : folder_(std::filesystem::path(::testing::TempDir()) / "l2a_label_file") {
    std::filesystem::remove_all(folder_);
    std::filesystem::create_directory(folder_);
  }
  ~LabelFile() override { std::filesystem::remove_all(folder_); }

  LabelSummary label(const std::string& lines, const LabelOptions& options = {}) {
    std::ofstream(input(), std::ios::binary) << lines;
    RuleExtractor extractor(shipped_forms());
    return label_file({input(), output(), "learn2ask label in"}, options, shipped_forms(),
                      extractor);
  }
  std::filesystem::path input() const { return folder_ / "in.jsonl"; }
  std::filesystem::path output() const { return folder_ / "labels" / "out.jsonl"; }
  std::filesystem::path failures() const { return folder_ / "labels" / "out.failures.jsonl"; }

  std::filesystem::path folder_;
};

std::string good(const std::string& id) {
  Session session = session_of({"u: It broke.", "a: How old is it?", "u: Ten years.",
                                "a: And the fuse?", "u: Fine.", "a: Buy one."});
  session.id = id;
  return dump_json(to_json(session)) + "\n";
}

LabelOptions lenient() {
  LabelOptions options;
  options.max_failure_rate = 1;
  return options;
}

TEST_F(LabelFile, WritesOneLineForEachSessionUnderAHeader) {
  const LabelSummary summary = label(good("1") + good("2"));
  EXPECT_EQ(summary.sessions, 2u);
  EXPECT_EQ(summary.samples, 6u);
  EXPECT_EQ(summary.stops, 2u);
  EXPECT_EQ(summary.continues, 4u);
  EXPECT_EQ(summary.items, 6u);
  EXPECT_EQ(summary.decision_rules.at("stop: no_user_message_after"), 2u);
  EXPECT_FALSE(std::filesystem::exists(failures()));
  EXPECT_EQ(read_labels(output().string()).size(), 2u);

  const auto header = for_each_row(output(), "labels", [](JsonLine&&) {});
  ASSERT_TRUE(header);
  EXPECT_EQ(header->input_sha256, sha256_file(input()));
  EXPECT_EQ(header->config_sha256, sha256_hex(config_to_yaml(list_config(LabelOptions{}))));
  EXPECT_EQ(header->extra["extractor"], "rules");
  EXPECT_EQ(header->extra["questions_sha256"], shipped_forms().phrases().sha256());
}

TEST_F(LabelFile, IsTheSameBytesWhenMadeAgain) {
  label(good("1") + good("2"));
  const std::string first = read_file(output());
  label(good("1") + good("2"));
  EXPECT_EQ(read_file(output()), first);
}

TEST_F(LabelFile, CountsAndNamesEveryLineThatItCannotLabel) {
  const std::string deep =
      R"({"session_id": 8, "x": )" + std::string(100, '[') + std::string(100, ']') + "}\n";
  const LabelSummary summary =
      label(good("1") + "{\"session_id\": 2,\n" + "[]\n" +
                R"({"session_id": 3})"
                "\n" +
                R"({"session_id": 4, "messages": [{"role": "bot", "content": "x"}]})"
                "\n" +
                R"({"session_id": 5, "messages": [{"role": "user", "content": "x"}]})"
                "\n" +
                good("1") + "{\"session_id\": \"\xff\"}\n" +
                R"({"session_id": 7, "messages": 3})"
                "\n" +
                deep + good("9"),
            lenient());
  EXPECT_EQ(summary.sessions, 2u);
  EXPECT_EQ(summary.left_out, 9u);
  std::vector<std::string> errors;
  for_each_row(failures(), "failures",
               [&](JsonLine&& line) { errors.push_back(line.value["error"].get<std::string>()); });
  EXPECT_THAT(
      errors,
      ElementsAre(HasSubstr("in.jsonl:2: "), HasSubstr("in.jsonl:3: "), "'messages': missing",
                  "'messages'[0]: 'role': expected user or assistant, got 'bot'",
                  "no expert message after a user message", "'session_id': '1' stands twice",
                  HasSubstr("in.jsonl:8: "), HasSubstr("'messages': expected an array"),
                  HasSubstr("in.jsonl:10: ")));
  EXPECT_EQ(read_labels(output().string()).size(), 2u);
}

TEST_F(LabelFile, StopsPastTheFailureRateAndLeavesNoOutput) {
  std::string lines;
  for (int i = 0; i < 19; ++i) lines += good(std::to_string(i));
  EXPECT_EQ(label(lines + "{}\n").left_out, 1u);  // 5% is not past it
  std::filesystem::remove_all(output().parent_path());
  try {
    label(lines + "{}\n{}\n");
    ADD_FAILURE();
  } catch (const Failure& failure) {
    EXPECT_THAT(failure.what(), HasSubstr("label: 2 of 21 sessions failed, more than "
                                          "max_failure_rate 0.05: first: "));
    EXPECT_THAT(failure.what(), HasSubstr("in.jsonl:20: 'session_id': missing"));
  }
  EXPECT_FALSE(std::filesystem::exists(output()));
  EXPECT_TRUE(std::filesystem::exists(failures()));
}

TEST_F(LabelFile, StopsInTheMiddleWhenTheLastTwoHundredFailTooOften) {
  std::string lines;
  for (int i = 0; i < 300; ++i) lines += good(std::to_string(i));
  for (int i = 0; i < 300; ++i) lines += "{}\n";
  try {
    label(lines);
    ADD_FAILURE();
  } catch (const Failure& failure) {
    EXPECT_THAT(failure.what(), HasSubstr("label: 11 of the last 200 sessions failed"));
  }
}

TEST_F(LabelFile, RefusesAFileWithoutSessions) {
  EXPECT_THROW(label(""), Failure);
  EXPECT_THROW(label("\n\n"), Failure);
  EXPECT_THROW(
      label(dump_json(to_json(FileHeader{
                .format = "labels", .command = "x", .config_sha256 = "0", .input_sha256 = "0"})) +
            "\n"),
      Failure);
  EXPECT_FALSE(std::filesystem::exists(output()));
}

TEST_F(LabelFile, IsInspectedAsTheSessionsAre) {
  label(good("1") + good("2"));
  for (const auto& path : {input(), output()}) {
    Inspector inspector(shipped_forms());
    const auto file = for_each_inspected(path, {}, shipped_forms(),
                                         [&](const LabelledSession& s) { inspector.add(s); });
    EXPECT_EQ(file.labelled, path == output());
    EXPECT_EQ(inspector.median_session(), "1");
    EXPECT_THAT(inspector.report(), HasSubstr("samples                                   6\n"));
    EXPECT_THAT(inspector.report(), HasSubstr("share of stop samples: 33.3%"));
    EXPECT_THAT(inspector.report(), HasSubstr("   1          2  ####"));
  }
}

TEST(Inspector, FindsQuestionsAfterTheStopAndQuestionsAskedTwice) {
  Session after = session_of({"u: It broke.", "a[solve]: Replace it.", "u: OK.", "a: How old?"});
  Session in_tail = session_of({"u: It broke.", "a: Replace it."});
  in_tail.tail = {{Role::kAssistant, "Does it work?", Json::object()}};
  Session twice = session_of({"u: It broke.", "a: How old is it?", "u: I don't know.",
                              "a: Any noise?", "u: Loud.", "a: OK, how old is it?", "u: Ten.",
                              "a: How old is it?", "u: Ten years.", "a: Buy one."});
  Inspector inspector(shipped_forms());
  for (const Session& session : {after, in_tail, twice}) inspector.add(label_by_rules(session));
  EXPECT_EQ(inspector.stops_with_questions_after(), 2u);
  EXPECT_EQ(inspector.repeated_questions(), 1u);
  EXPECT_THAT(inspector.report(), HasSubstr("e.g. s/7"));
}

TEST(Inspector, FindsTheQuestionThatIsOpenAtMostTurns) {
  Inspector inspector(shipped_forms());
  // Smoking is left at two turns of two, at one of two, and at one of one with two answers; age at
  // one of two, at both, and at none of one.
  for (const auto& lines :
       {std::vector<std::string>{"u: It hurts.", "a: How old are you?", "u: 34.",
                                 "a: Do you smoke?", "u: A pipe.", "a: Rest."},
        {"u: It hurts.", "a: do you  smoke", "u: Cigars.", "a: How old are you?", "u: 50.",
         "a: Rest."},
        {"u: It hurts.", "a: Do you smoke? Do you smoke?", "u: At work. Not here.", "a: Rest."}}) {
    inspector.add(label_by_rules(lines));
  }
  const auto often = inspector.open_most_often();
  ASSERT_TRUE(often);
  EXPECT_EQ(often->question, "Do you smoke?");
  EXPECT_DOUBLE_EQ(often->share, 4.0 / 5);
  EXPECT_THAT(inspector.report(), HasSubstr("would be right at 80.0% or more: Do you smoke?"));
}

TEST(Inspector, SendsNoControlCharacterToTheTerminal) {
  Session session =
      session_of({"u: \x1b[31mred", "a: \x1b]0;title\x07 How old?", "u: Ten\x08.", "a: Bye."});
  session.id = "\x1b[2J";
  const auto labelled = label_by_rules(session);
  Inspector inspector(shipped_forms());
  inspector.add(labelled);
  for (const std::string& text : {inspector.report(), session_to_text(labelled)}) {
    for (const char c : text) ASSERT_TRUE(c == '\n' || static_cast<unsigned char>(c) >= 0x20);
  }
}

TEST(Inspector, HasNothingToSayOfNoSession) {
  const Inspector inspector(shipped_forms());
  EXPECT_EQ(inspector.median_session(), std::nullopt);
  EXPECT_FALSE(inspector.open_most_often());
  EXPECT_THAT(inspector.report(), Not(HasSubstr("turns a session")));
}

}  // namespace
}  // namespace l2a
