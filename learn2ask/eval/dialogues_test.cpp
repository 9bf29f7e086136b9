#include "eval/dialogues.h"

#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "eval/testing.h"

namespace l2a {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

std::vector<LabelledSession> some_sessions(size_t count) {
  std::vector<LabelledSession> sessions;
  for (size_t i = 0; i < count; ++i) {
    sessions.push_back(testing::make_session(
        "s" + std::to_string(i), {"My head hurts.", "Since when?", "Two days.", "Take a rest."}));
  }
  return sessions;
}

Evaluation answers_of(const std::string& policy, PolicyRole role,
                      const std::vector<LabelledSession>& sessions) {
  Evaluation evaluation;
  evaluation.facts.policy = policy;
  evaluation.facts.role = role;
  for (const LabelledSession& session : sessions) {
    for (const Sample& sample : session.samples) {
      evaluation.rows.push_back(
          testing::make_row(session.id, sample.turn, sample.decision->value, "ask", 0.5));
    }
  }
  return evaluation;
}

TEST(SampleDialogues, TakeTwoTurnsToGoOnAtForEachToStopAtAndOneASession) {
  const auto sessions = some_sessions(20);
  const Evaluation evaluations[] = {answers_of("base", PolicyRole::kModel, sessions),
                                    answers_of("always stop", PolicyRole::kBaseline, {}),
                                    answers_of("GRPO", PolicyRole::kModel, sessions)};
  const auto dialogues = sample_dialogues(sessions, evaluations, 9, 1);
  ASSERT_EQ(dialogues.size(), 9u);
  std::set<std::string> ids;
  for (size_t i = 0; i < 9; ++i) {
    ids.insert(dialogues[i].context_id.substr(0, dialogues[i].context_id.find('/')));
    EXPECT_EQ(dialogues[i].truth, i % 3 == 2 ? Decision::kStop : Decision::kContinue);
    ASSERT_EQ(dialogues[i].answers.size(), 2u);
    EXPECT_EQ(dialogues[i].answers[1].policy, "GRPO");
    EXPECT_EQ(dialogues[i].open.empty(), dialogues[i].truth == Decision::kStop);
  }
  EXPECT_EQ(ids.size(), 9u);
  const auto again = sample_dialogues(sessions, evaluations, 9, 1);
  EXPECT_EQ(dialogues_to_text(again), dialogues_to_text(dialogues));
}

TEST(SampleDialogues, PassOverContextsThatAPolicyDidNotAnswer) {
  const auto sessions = some_sessions(5);
  const Evaluation evaluations[] = {answers_of("base", PolicyRole::kModel, sessions),
                                    answers_of("GRPO", PolicyRole::kModel, some_sessions(2))};
  EXPECT_EQ(sample_dialogues(sessions, evaluations, 5, 1).size(), 2u);
}

TEST(VerdictText, SaysWhatBecameOfAReply) {
  const auto row = [](Decision truth, const char* said) {
    return testing::make_row("s", 1, truth, said, 0.5);
  };
  EXPECT_EQ(verdict_text(row(Decision::kContinue, "ask")),
            "right decision, R_a 0.5, P 1, reward 3");
  EXPECT_EQ(verdict_text(row(Decision::kStop, "ask")), "wrong decision");
  EXPECT_EQ(verdict_text(row(Decision::kStop, "malformed")), "malformed");
  ScoredRow unscored = row(Decision::kContinue, "ask");
  unscored.parts.reset();
  EXPECT_EQ(verdict_text(unscored), "right decision, unscored");
}

TEST(DialoguesToText, ShowContextOpenItemsRepliesAndTheExpertWithoutControls) {
  auto sessions = some_sessions(1);
  sessions[0].turns[0].text = "\x1b[2JMy head hurts.";
  sessions[0].samples.pop_back();
  const Evaluation evaluations[] = {answers_of("base", PolicyRole::kModel, sessions)};
  const std::string text = dialogues_to_text(sample_dialogues(sessions, evaluations, 1, 1));
  EXPECT_THAT(text, Not(HasSubstr("\x1b")));
  EXPECT_THAT(text, HasSubstr("  open: Since when? -> Two days.\n"));
  EXPECT_THAT(text, HasSubstr("  base says: How old are you?\n      (right decision, R_a 0.5"));
  EXPECT_THAT(text, HasSubstr("  the expert said: Since when?\n"));
}

}  // namespace
}  // namespace l2a
