#include "synth/truth_grader.h"

#include <gtest/gtest.h>

#include "base/testing.h"
#include "dialogue/session_file.h"
#include "synth/generate.h"
#include "synth/testing.h"

namespace l2a {
namespace {

using testing::question_forms;
using testing::shipped_domain;

Session headache() {
  const auto line = parse_json(R"({"session_id": "h", "messages": [
    {"role": "user", "content": "Hi.", "truth": {"given": {}}},
    {"role": "user", "content": "I have a headache.", "truth": {"given": {}}},
    {"role": "assistant", "content": "How old are you?",
     "truth": {"asked": "age", "open": ["age", "fever", "severity"], "decision": "continue"}},
    {"role": "user", "content": "34. No fever.",
     "truth": {"given": {"age": "34", "fever": "none"}}},
    {"role": "assistant", "content": "How bad is it?",
     "truth": {"asked": "severity", "open": ["severity"], "decision": "continue"}},
    {"role": "user", "content": "A six.", "truth": {"given": {"severity": "six"}}},
    {"role": "assistant", "content": "I'd suggest paracetamol.",
     "truth": {"open": [], "decision": "stop"}}]})");
  return session_from_json(*line).value_or_throw();
}

class TruthGraderTest : public ::testing::Test {
 protected:
  double grade(const std::string& id, const std::string& question) {
    return verdict(id, question).content;
  }
  Grade verdict(const std::string& id, const std::string& question) {
    GradeRequest request;
    request.context_id = id;
    request.question = question;
    auto grades = grader.grade(std::span(&request, 1));
    EXPECT_EQ(grades.size(), 1u);
    return std::move(grades[0]).value_or_throw();
  }
  Domain domain = shipped_domain("pharmacy");
  Recogniser recogniser{domain, question_forms()};
  Session session = headache();
  TruthIndex truth{std::span<const Session>(&session, 1)};
  TruthGrader grader{domain, recogniser, truth};
};

TEST_F(TruthGraderTest, GradesBySlot) {
  const struct {
    const char* id;
    const char* question;
    double content;
  } cases[] = {
      {"h/1", "How old are you?", 1},             // open, asked by the expert now
      {"h/1", "Is your temperature raised?", 1},  // open, volunteered later
      {"h/1", "Would you say the pain is mild?", 1},
      {"h/1", "Are you allergic to anything?", 0},     // does not matter here
      {"h/1", "Can you tell me more about it?", 0.5},  // too general
      {"h/1", "Would you like some tea?", 0},          // nobody knows what
      {"h/1", "age allergy pregnancy duration", 0},    // no question
      {"h/1", "Age, fever, severity, allergies?", 0},  // nor this
      {"h/1", "I'd suggest paracetamol.", 0},
      {"h/1", "How old are you? Are you allergic to anything?", 1},  // the first question decides
      {"h/1", "Are you allergic to anything? How old are you?", 0},
      {"h/3", "How old are you?", 0},      // known by now
      {"h/3", "Do you have a fever?", 0},  // volunteered
      {"h/3", "How strong is the pain?", 1},
      {"h/5", "Can you tell me more about it?", 0},  // nothing is open
  };
  for (const auto& c : cases) EXPECT_EQ(grade(c.id, c.question), c.content) << c.question;
  EXPECT_EQ(grader.name(), "truth:pharmacy");
  EXPECT_TRUE(verdict("h/1", "Would you like some tea?").unrecognised);
  EXPECT_FALSE(verdict("h/1", "Are you allergic to anything?").unrecognised);
  EXPECT_FALSE(verdict("h/1", "I'd suggest paracetamol.").unrecognised);
}

TEST_F(TruthGraderTest, FailsForAnUnknownContext) {
  std::vector<GradeRequest> requests(2);
  requests[0].context_id = "h/2";
  requests[1].context_id = "h/3";
  requests[1].question = "How bad is it?";
  const auto grades = grader.grade(requests);
  ASSERT_FALSE(grades[0]);
  EXPECT_EQ(grades[0].error().message,
            "truth: context 'h/2': is in none of the generated sessions");
  ASSERT_TRUE(grades[1]);
  EXPECT_EQ(grades[1]->content, 1);
  EXPECT_EQ(grades[1]->reason, "asks for 'severity', which is open");
}

TEST_F(TruthGraderTest, KnowsTheRightDecision) {
  EXPECT_EQ(truth.size(), 3u);
  EXPECT_EQ(truth.find("h/1")->decision, Decision::kContinue);
  EXPECT_EQ(truth.find("h/5")->decision, Decision::kStop);
}

TEST(TruthIndex, SaysWhatIsWrong) {
  const auto with_truth = [](const std::string& truth) {
    const auto line =
        parse_json(R"({"session_id": "s", "messages": [{"role": "assistant", "content": "x?")" +
                   truth + "}]}");
    return session_from_json(*line).value_or_throw();
  };
  const std::string tail = ": only sessions made by `learn2ask generate` carry it";
  const struct {
    const char* truth;
    const char* why;
  } cases[] = {
      {"", "an expert's message has no 'truth'"},
      {R"(, "truth": 3)", "'truth' of an expert's message has no list 'open'"},
      {R"(, "truth": {"open": "age"})", "'truth' of an expert's message has no list 'open'"},
      {R"(, "truth": {"open": [3], "decision": "continue"})",
       "'open' names a slot that is no string"},
      {R"(, "truth": {"open": ["age"], "decision": "stop"})", "'decision' disagrees with 'open'"},
      {R"(, "truth": {"open": []})", "'decision' disagrees with 'open'"},
  };
  for (const auto& c : cases) {
    const Session session = with_truth(c.truth);
    try {
      TruthIndex index{std::span(&session, 1)};
      ADD_FAILURE() << "accepted: " << c.truth;
    } catch (const Failure& failure) {
      EXPECT_EQ(failure.what(), "truth: session 's': " + std::string(c.why) + tail);
    }
  }
  const std::vector<Session> twice(2, with_truth(R"(, "truth": {"open": [], "decision": "stop"})"));
  EXPECT_THROW(TruthIndex{twice}, Failure);
}

// The noise-free expert's own questions are all worth 1, and a file gives what memory gives.
TEST(TruthIndex, ReadsBackWhatWasGenerated) {
  for (const char* name : {"pharmacy", "laptop"}) {
    const TempDir dir;
    const auto path = dir / "truth.jsonl";
    const Domain domain = shipped_domain(name);
    const Recogniser recogniser(domain, question_forms());
    generate_file(domain, {}, 11, 300, testing::sessions_header(), path);
    const TruthIndex truth(read_sessions(path));
    TruthGrader grader(domain, recogniser, truth);
    size_t contexts = 0;
    for (uint64_t i = 0; i < 300; ++i) {
      const Session session = generate_session(domain, {}, 11, i);
      const auto turns = turns_of(session);
      for (size_t t = 0; t < turns.size(); ++t) {
        if (turns[t].role != Role::kAssistant) continue;
        ++contexts;
        GradeRequest request;
        request.context_id = session.id + "/" + std::to_string(t);
        request.question = turns[t].text;
        const auto found = truth.find(request.context_id);
        ASSERT_TRUE(found) << request.context_id;
        ASSERT_EQ(found->decision == Decision::kStop, t + 1 == turns.size());
        const auto grades = grader.grade(std::span(&request, 1));
        ASSERT_FALSE(grades[0]->unrecognised) << turns[t].text;
        ASSERT_EQ(grades[0]->content, t + 1 == turns.size() ? 0 : 1) << turns[t].text;
      }
    }
    EXPECT_EQ(truth.size(), contexts);
  }
}

}  // namespace
}  // namespace l2a
