#include "hindsight/overrides.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/file.h"
#include "base/jsonl.h"
#include "base/testing.h"
#include "hindsight/label_file.h"
#include "hindsight/testing.h"

namespace l2a {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// Turns 0 to 7; stops at 7 by the rules.
const std::vector<std::string> kLines = {
    "u: I cough.",     "a: How old are you?",   "u: I am 34.", "a: Any fever?",
    "u: No. I smoke.", "a: Do you smoke much?", "u: A lot.",   "a: Take this."};

class OverridesTest : public ::testing::Test {
 protected:
  Overrides load(const std::string& lines) {
    write_file_atomic(folder_ / "o.jsonl", lines);
    return Overrides::load(folder_ / "o.jsonl");
  }
  std::string refusal(const std::string& lines) {
    return failure_of([&] { load(lines); });
  }
  LabelledSession label(const std::string& lines) {
    Overrides overrides = load(lines);
    RuleExtractor extractor(shipped_forms());
    Labeller labeller({}, shipped_forms(), extractor, &overrides);
    auto session = labeller.label(session_of(kLines)).session.value_or_throw();
    overrides.refuse_unused();
    return session;
  }
  TempDir folder_;
};

std::vector<std::string> decisions(const LabelledSession& session) {
  std::vector<std::string> out;
  for (const Sample& sample : session.samples) {
    out.push_back(std::to_string(sample.turn) + " " +
                  (sample.decision ? decision_name(sample.decision->value) + std::string(" ") +
                                         sample.decision->rule
                                   : "censored"));
  }
  return out;
}

TEST_F(OverridesTest, AStopEndsTheSamplesThere) {
  EXPECT_THAT(decisions(label(R"({"session": "s", "turn": 3, "decision": "stop"})")),
              ElementsAre("1 continue gathers_on", "3 stop override"));
}

TEST_F(OverridesTest, AContinueGoesBeforeEveryRule) {
  EXPECT_THAT(decisions(label(R"({"session": "s", "turn": 7, "decision": "continue"})")),
              ElementsAre("1 continue gathers_on", "3 continue gathers_on", "5 continue gathers_on",
                          "7 continue override"));
}

TEST_F(OverridesTest, AContinueGoesBeforeTheStopWhereNothingFollows) {
  Overrides overrides = load(R"({"session": "s", "turn": 7, "decision": "continue"})");
  RuleExtractor extractor(shipped_forms());
  LabelOptions options;
  options.stop_when_nothing_follows = true;
  Labeller labeller(options, shipped_forms(), extractor, &overrides);
  const auto outcome = labeller.label(session_of(kLines));
  EXPECT_EQ(decisions(*outcome.session).back(), "7 continue override");
  overrides.refuse_unused();
}

TEST_F(OverridesTest, WantedIsTheWholeTarget) {
  const auto session = label(
      R"({"session": "s", "turn": 1, "wanted": [{"question": "Do you smoke much?", "fact": "a lot"}]})"
      "\n"
      R"({"session": "s", "turn": 5, "wanted": [], "by": "anna"})");
  const auto& wanted = *session.samples[0].wanted;
  ASSERT_EQ(wanted.size(), 1u);
  EXPECT_EQ(wanted[0].fact, "A lot");
  EXPECT_EQ(wanted[0].question, "Do you smoke much?");
  EXPECT_EQ(wanted[0].question_turn, 5u);
  EXPECT_EQ(wanted[0].answer_turn, 6u);
  const auto& said = session.messages[wanted[0].source_message].text;
  EXPECT_EQ(said.substr(wanted[0].source_begin, wanted[0].source_end - wanted[0].source_begin),
            "A lot");
  EXPECT_TRUE(session.samples[2].wanted->empty());
  EXPECT_EQ(session.samples[1].wanted->size(),
            label_by_rules(kLines).samples[1].wanted->size());  // nobody corrected that one
}

TEST_F(OverridesTest, WantedGoesBeforeTheHorizon) {
  Overrides overrides = load(
      R"({"session": "s", "turn": 1, "wanted": [{"question": "Do you smoke much?", "fact": "a lot"}]})");
  RuleExtractor extractor(shipped_forms());
  LabelOptions options;
  options.horizon = 1;
  Labeller labeller(options, shipped_forms(), extractor, &overrides);
  const auto session = labeller.label(session_of(kLines)).session.value_or_throw();
  ASSERT_EQ(session.samples[0].wanted->size(), 1u);
  EXPECT_EQ(session.samples[0].wanted->at(0).question_turn, 5u);
}

TEST_F(OverridesTest, AFactMayRunOverSeveralMessages) {
  Overrides overrides = load(
      R"({"session": "s", "turn": 1, "wanted": [{"question": "Any fever?", "fact": "Since Monday\nI smoke"}]})");
  RuleExtractor extractor(shipped_forms());
  Labeller labeller({}, shipped_forms(), extractor, &overrides);
  const auto session =
      labeller
          .label(session_of({"u: I cough.", "a: Any fever?", "u: Yes. Since Monday.",
                             "u: I smoke, too.", "a: Take this."}))
          .session.value_or_throw();
  const auto& wanted = *session.samples[0].wanted;
  ASSERT_EQ(wanted.size(), 1u);
  EXPECT_EQ(wanted[0].fact, "Since Monday.\nI smoke");
  EXPECT_EQ(wanted[0].source_message, 2u);
  EXPECT_EQ(wanted[0].source_begin, 5u);
  EXPECT_EQ(wanted[0].source_last_message, 3u);
  EXPECT_EQ(wanted[0].source_end, 7u);
}

TEST_F(OverridesTest, APairMaySayWhichTurnIsMeant) {
  const std::vector<std::string> lines = {"u: I cough.",      "a: Any fever?", "u: No.",
                                          "a: Do you smoke?", "u: No.",        "a: Take this."};
  const auto answer_turn = [&](const std::string& key) {
    Overrides overrides = load(
        R"({"session": "s", "turn": 1, "wanted": [{"question": "Do you smoke?", "fact": "no")" +
        key + "}]}");
    RuleExtractor extractor(shipped_forms());
    Labeller labeller({}, shipped_forms(), extractor, &overrides);
    const auto session = labeller.label(session_of(lines)).session.value_or_throw();
    return session.samples[0].wanted->at(0).answer_turn;
  };
  EXPECT_EQ(answer_turn(""), 2u);
  EXPECT_EQ(answer_turn(R"(, "answer_turn": 4)"), 4u);
  EXPECT_THAT(failure_of([&] { answer_turn(R"(, "answer_turn": 3)"); }), HasSubstr("at turn 3"));
  EXPECT_THAT(failure_of([&] { answer_turn(R"(, "answer_turn": 0)"); }), HasSubstr("at turn 0"));
  EXPECT_THAT(failure_of([&] { answer_turn(R"(, "answer_turn": -1)"); }),
              HasSubstr("'answer_turn'"));
}

TEST_F(OverridesTest, InventsNothing) {
  const std::string line =
      R"({"session": "s", "turn": 3, "wanted": [{"question": "How old are you?", "fact": "34"}]})";
  EXPECT_THAT(failure_of([&] { label(line); }), HasSubstr("o.jsonl:1: 'fact': the user does not"));
}

TEST_F(OverridesTest, RefusesWhatFitsNoTurn) {
  for (const char* line : {R"({"session": "x", "turn": 3, "decision": "stop"})",
                           R"({"session": "s", "turn": 2, "decision": "stop"})",
                           R"({"session": "s", "turn": 99, "decision": "stop"})",
                           "{\"session\": \"s\", \"turn\": 1, \"decision\": \"stop\"}\n"
                           "{\"session\": \"s\", \"turn\": 5, \"wanted\": []}"}) {
    EXPECT_THAT(failure_of([&] { label(line); }), HasSubstr("no expert turn")) << line;
  }
}

TEST_F(OverridesTest, RefusesWhatIsNoCorrection) {
  EXPECT_THAT(refusal(R"({"session": "s", "turn": 1})"), HasSubstr("o.jsonl:1: neither"));
  EXPECT_THAT(refusal(R"({"turn": 1, "decision": "stop"})"), HasSubstr("'session': missing"));
  EXPECT_THAT(refusal(R"({"session": "s", "turn": -1, "decision": "stop"})"), HasSubstr("'turn'"));
  EXPECT_THAT(refusal(R"({"session": "s", "turn": 1.5, "decision": "stop"})"), HasSubstr("'turn'"));
  EXPECT_THAT(refusal(R"({"session": "s", "turn": 1, "decision": "halt"})"), HasSubstr("'halt'"));
  EXPECT_THAT(refusal(R"({"session": "s", "turn": 1, "wanted": "x"})"), HasSubstr("'wanted'"));
  EXPECT_THAT(refusal(R"({"session": "s", "turn": 1, "wanted": [{"fact": "x"}]})"),
              HasSubstr("'question': missing"));
  EXPECT_THAT(refusal("{\"session\": \"s\", \"turn\": 1, \"decision\": \"stop\"}\n"
                      "{\"session\": \"s\", \"turn\": 1, \"wanted\": []}"),
              HasSubstr("o.jsonl:2: this turn is corrected twice"));
}

TEST_F(OverridesTest, MakeUpForAFailedExtraction) {
  class Failing final : public Extractor {
   public:
    std::string name() const override { return "failing"; }
    std::vector<Targets> extract(std::span<const Gathering> gatherings) override {
      return {Targets(gatherings[0].expert_turns.size(), Error{ErrorCode::kUnavailable, "down"})};
    }
  } extractor;
  Overrides overrides = load(R"({"session": "s", "turn": 1, "wanted": []})");
  Labeller labeller({}, shipped_forms(), extractor, &overrides);
  const auto outcome = labeller.label(session_of(kLines));
  EXPECT_TRUE(outcome.session->samples[0].wanted);
  EXPECT_FALSE(outcome.session->samples[1].wanted);
  EXPECT_EQ(outcome.extraction_errors.size(), 3u);
}

TEST_F(OverridesTest, AreNotForCompat) {
  Overrides overrides = load(R"({"session": "s", "turn": 1, "decision": "stop"})");
  RuleExtractor extractor(shipped_forms());
  LabelOptions options;
  options.compat = true;
  EXPECT_THAT(failure_of([&] { Labeller(options, shipped_forms(), extractor, &overrides); }),
              HasSubstr("label.compat"));
}

TEST_F(OverridesTest, AreNamedInTheLabelsTheyMade) {
  Session session = session_of(kLines);
  write_file_atomic(folder_ / "in.jsonl", dump_json(to_json(session)) + "\n");
  Overrides overrides = load(R"({"session": "s", "turn": 3, "decision": "stop"})");
  RuleExtractor extractor(shipped_forms());
  const auto run = [&] {
    label_file({folder_ / "in.jsonl", folder_ / "out.jsonl", "label", &overrides}, {},
               shipped_forms(), extractor);
  };
  run();
  const auto header = for_each_row(folder_ / "out.jsonl", "labels", [](JsonLine&&) {});
  EXPECT_EQ(header->extra["overrides_sha256"], sha256_file(folder_ / "o.jsonl"));
  std::filesystem::remove(folder_ / "out.jsonl");
  overrides = load(R"({"session": "nobody", "turn": 3, "decision": "stop"})");
  EXPECT_THAT(failure_of(run), HasSubstr("no expert turn nobody/3"));
  EXPECT_FALSE(std::filesystem::exists(folder_ / "out.jsonl"));
}

}  // namespace
}  // namespace l2a
