#include "reward/label_grader.h"

#include <gtest/gtest.h>

#include "base/testing.h"
#include "hindsight/testing.h"
#include "reward/testing.h"

namespace l2a {
namespace {

Message expert(const std::string& text, const std::string& act, std::vector<std::string> attributes,
               std::vector<std::string> about = {}) {
  Message message{.role = Role::kAssistant, .text = text};
  message.extra["labels"] = {{"act", act}, {"attributes", attributes}, {"about", about}};
  return message;
}

Message user(const std::string& text) { return {.role = Role::kUser, .text = text}; }

Session session(const std::string& id, const std::string& group, std::vector<Message> messages) {
  Session s;
  s.id = id;
  s.extra["diagn"] = group;
  s.messages = std::move(messages);
  return s;
}

std::vector<Session> bank() {
  return {session("b1", "car",
                  {user("My car is dead."), expert("Does the engine turn over?", "ask", {"engine"}),
                   user("No."), expert("Are the headlights dim?", "ask", {"lights"}), user("Yes."),
                   expert("Charge it.", "solve", {})}),
          session("b2", "car",
                  {user("Help."), expert("Is the fuel tank empty?", "ask", {"fuel"}), user("No."),
                   expert("Done? Really now?", "ask", {"two questions"}), user("Hm."),
                   expert("No question here.", "ask", {"none"})})};
}

std::vector<Session> graded() {
  return {session("g", "car",
                  {user("It won't start."), expert("Is there fuel?", "ask", {"fuel"}),
                   user("How do I see?"), expert("Look at the gauge.", "clarify", {}, {"fuel"}),
                   user("Yes."), expert("Do the headlights shine?", "ask", {"lights"}),
                   user("Dimly."), expert("Charge it.", "solve", {})})};
}

double content(LabelGrader& grader, const std::string& id, const std::string& question) {
  const GradeRequest request{id, {}, {}, question};
  return std::move(grader.grade({&request, 1})[0]).value_or_throw().content;
}

TEST(LabelledQuestions, TakesMessagesWithOneAttributeAndOneQuestion) {
  std::vector<std::string> found;
  for (const auto& s : bank()) {
    for (const auto& q : labelled_questions(s, shipped_forms())) {
      found.push_back(q.session_id + " " + q.group + " " + q.attribute + ": " + q.question);
    }
  }
  EXPECT_EQ(found, (std::vector<std::string>{"b1 car engine: Does the engine turn over?",
                                             "b1 car lights: Are the headlights dim?",
                                             "b2 car fuel: Is the fuel tank empty?"}));
}

TEST(LabelledQuestions, TakesTheTruthOfGeneratedSessions) {
  Session generated = session("g", "", {user("I can't sleep."), user("My head hurts.")});
  generated.extra = {{"truth", {{"complaint", "headache"}}}};
  const auto says = [&](const std::string& text, const Json& truth) {
    generated.messages.push_back({.role = Role::kAssistant, .text = text});
    generated.messages.back().extra["truth"] = truth;
  };
  says("Since when?", {{"asked", "duration"}, {"open", {"duration", "age"}}});
  generated.messages.push_back(user("Monday."));
  says("How old are you?", {{"asked", "age"}, {"open", {"age"}}});
  generated.messages.push_back(user("40."));
  says("Take this.", {{"open", Json::array()}});

  const auto found = labelled_questions(generated, shipped_forms());
  ASSERT_EQ(found.size(), 2);
  EXPECT_EQ(found[0].group + " " + found[0].attribute, "headache duration");
  EXPECT_EQ(found[1].group + " " + found[1].attribute, "headache age");
  const auto open = open_attributes(generated);
  EXPECT_EQ(open[1], (std::vector<std::string>{"age", "duration"}));
  EXPECT_EQ(open[3], std::vector<std::string>{"age"});
  EXPECT_TRUE(open[5].empty());

  generated.extra["truth"]["complaint"] = 1;
  EXPECT_EQ(failure_of([&] { group_of(generated); }),
            "truth: 'complaint': expected a string, got a number");
}

TEST(LabelledQuestions, RefusesLabelsOfAnotherForm) {
  const struct {
    Json labels;
    const char* message;
  } cases[] = {
      {"ask", "labels: expected an object"},
      {{{"act", 1}}, "labels: 'act': expected a string, got a number"},
      {{{"attributes", "engine"}}, "labels: 'attributes': expected a list"},
      {{{"about", {1}}}, "labels: 'about': expected texts"},
  };
  for (const auto& c : cases) {
    Message message = user("text");
    message.extra["labels"] = c.labels;
    EXPECT_EQ(failure_of([&] { labels_of(message); }), c.message);
  }
  EXPECT_FALSE(labels_of(user("text")));
}

TEST(OpenAttributes, AreThoseAskedForAtTheTurnOrLater) {
  const auto open = open_attributes(graded()[0]);
  ASSERT_EQ(open.size(), 8u);
  EXPECT_EQ(open[1], (std::vector<std::string>{"lights", "fuel", "fuel"}));
  EXPECT_EQ(open[3], (std::vector<std::string>{"lights", "fuel"}));  // asked, but not answered
  EXPECT_EQ(open[5], (std::vector<std::string>{"lights"}));
  EXPECT_TRUE(open[7].empty());
}

TEST(LabelGrader, LooksUpTheAttributeOfTheNearestHumanQuestion) {
  LabelGrader grader(bank(), graded(), shipped_forms());
  EXPECT_EQ(content(grader, "g/1", "Is the tank empty?"), 1);
  EXPECT_EQ(content(grader, "g/3", "Is the tank empty?"), 1);
  EXPECT_EQ(content(grader, "g/5", "Is the tank empty?"), 0);  // already answered
  EXPECT_EQ(content(grader, "g/5", "Are your headlights dim?"), 1);
  EXPECT_EQ(content(grader, "g/1", "Does the engine turn?"), 0);  // this expert never asks for it
  EXPECT_EQ(content(grader, "g/1", "What is your name?"), 0);     // nobody did
  EXPECT_EQ(content(grader, "g/1", "Is the tank empty? What is your name?"), 0.5);
  EXPECT_EQ(content(grader, "g/1", "The tank is empty."), 0);
}

TEST(LabelGrader, LeavesASessionsOwnQuestionsOutOfItsBank) {
  auto sessions = bank();
  sessions.push_back(graded()[0]);
  LabelGrader grader(sessions, graded(), shipped_forms());
  EXPECT_EQ(content(grader, "g/1", "Shine?"), 0);
  EXPECT_EQ(content(grader, "g/1", "Is there fuel in the tank?"), 1);
}

TEST(LabelGrader, CannotGradeWhatNobodyLabelled) {
  auto sessions = graded();
  sessions.push_back(
      session("other", "boat", {user("It sinks."), expert("Is it old?", "ask", {"age"})}));
  Session unlabelled = session("u", "car", {user("It is dead."), user("Help.")});
  unlabelled.messages.push_back({.role = Role::kAssistant, .text = "Does the engine turn over?"});
  sessions.push_back(unlabelled);
  LabelGrader grader(bank(), sessions, shipped_forms());
  const struct {
    const char* id;
    const char* message;
  } cases[] = {
      {"u/1", "labels grader: u/1: its session is not among the labelled ones"},
      {"x/1", "labels grader: x/1: its session is not among the labelled ones"},
      {"g/9", "labels grader: g/9: its labelled session has no such turn"},
      {"other/1", "labels grader: other/1: no labelled question of 'boat'"},
  };
  for (const auto& c : cases) {
    const GradeRequest request{c.id, {}, {}, "Is it old?"};
    const auto grade = grader.grade({&request, 1})[0];
    ASSERT_FALSE(grade);
    EXPECT_EQ(grade.error().message, c.message);
  }
}

}  // namespace
}  // namespace l2a
