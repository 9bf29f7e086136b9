// One test for each clause of the definitions (DESIGN.md section 1).
#include "hindsight/label.h"

#include <algorithm>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "hindsight/testing.h"

namespace l2a {
namespace {

using ::testing::ElementsAre;

using Lines = std::vector<std::string>;

// "turn kind(rule) decision(rule) facts": one line a sample.
std::string line_of(const Sample& sample) {
  std::string out = std::to_string(sample.turn) + " " + turn_kind_name(sample.kind.value) + "(" +
                    sample.kind.rule + ")";
  out += sample.decision ? std::string(" ") + decision_name(sample.decision->value) + "(" +
                               sample.decision->rule + ")"
                         : " censored";
  if (!sample.wanted) return out + " unlabelled";
  for (const Item& item : *sample.wanted) out += " [" + item.fact + "]";
  return out;
}

std::vector<std::string> lines_of(const LabelledSession& session) {
  std::vector<std::string> out;
  for (const Sample& sample : session.samples) out.push_back(line_of(sample));
  return out;
}

std::vector<std::string> labels(const Lines& lines, const LabelOptions& options = {}) {
  return lines_of(label_by_rules(lines, options));
}

// What the first item at the first expert turn answers.
std::string first_question(const Lines& lines) {
  return label_by_rules(lines).samples[0].wanted->at(0).question;
}

TEST(ExpertTurn, AsksByTheFirstRuleThatDecides) {
  EXPECT_THAT(labels({"u: My head hurts.", "a[ask]: Your age.", "u: 34.", "a: Since when?",
                      "u: Monday.", "a: Tell me your job.", "u: Baker.", "a: You seem tired.",
                      "u: I sleep badly.", "a: That is common.", "u: Thanks.", "a: Take care."}),
              ElementsAre("1 ask(act_label) continue(act_label) [34.] [Monday.] [Baker.] "
                          "[I sleep badly.]",
                          "3 ask(question_mark) continue(gathers_on) [Monday.] [Baker.] "
                          "[I sleep badly.]",
                          "5 ask(question_form) continue(gathers_on) [Baker.] [I sleep badly.]",
                          "7 ask(new_fact) continue(gathers_on) [I sleep badly.]",
                          "9 inform(asks_nothing) continue(gathers_on)",
                          "11 stop(no_user_message_after) stop(no_user_message_after)"));
}

TEST(ExpertTurn, IsDecidedByAMappedLabelAgainstItsQuestionMark) {
  LabelOptions options;
  options.acts.inform = {"explain"};
  EXPECT_THAT(labels({"u: It broke.", "a[explain]: Why does it break?", "u: It is old.",
                      "a[other]: How old?", "u: Ten years.", "a: Buy one."},
                     options),
              ElementsAre("1 inform(act_label) continue(gathers_on) [Ten years.]",
                          "3 ask(question_mark) continue(gathers_on) [Ten years.]",
                          "5 stop(no_user_message_after) stop(no_user_message_after)"));
}

TEST(ExpertTurn, OfSeveralMessagesStopsBeforeItAsksBeforeItInforms) {
  LabelOptions options;
  options.acts.inform = {"inform"};
  EXPECT_THAT(labels({"u: It broke.", "a[inform]: I see.", "a[ask]: Its age.", "u: Ten years.",
                      "a[ask]: Its colour.", "a[solve]: Replace it."},
                     options),
              ElementsAre("1 ask(act_label) continue(act_label) [Ten years.]",
                          "3 stop(act_label) stop(act_label)"));
}

TEST(ExpertTurn, BeforeAnyUserMessageIsContextAndNoSample) {
  EXPECT_THAT(labels({"a: What brings you in?", "u: My knee hurts.", "a: Rest it."}),
              ElementsAre("2 stop(no_user_message_after) stop(no_user_message_after)"));
}

TEST(Target, CreditsTheLaterAnswerToTheFirstQuestionThatAskedForIt) {
  for (const std::string reply : {"What do you mean?", "Thanks.", "OK.", "What is a fuse?",
                                  "I don't know how to check that."}) {
    const auto session =
        label_by_rules(Lines{"u: It broke.", "a: Is the fuse blown?", "u: " + reply,
                             "a: The fuse is a thin wire.", "u: It is melted.", "a: Replace it."});
    ASSERT_EQ(session.samples.size(), 3u) << reply;
    for (const size_t i : {0, 1}) {
      const auto& wanted = *session.samples[i].wanted;
      ASSERT_EQ(wanted.size(), 1u) << reply << " at " << session.samples[i].turn;
      EXPECT_EQ(wanted[0].fact, "It is melted.");
      EXPECT_EQ(wanted[0].question, "Is the fuse blown?");
      EXPECT_EQ(wanted[0].question_turn, 1u);
      EXPECT_EQ(wanted[0].answer_turn, 4u);
    }
  }
}

TEST(Target, CreditsTheAnswerAfterAnExplanationToWhatTheExpertAsksOn) {
  EXPECT_EQ(first_question({"u: It broke.", "a: Is the fuse blown?", "u: What is a fuse?",
                            "a: The fuse is a thin wire. Check if it is melted.",
                            "u: It is melted.", "a: Replace it."}),
            "Is the fuse blown?");
  EXPECT_EQ(first_question({"u: It broke.", "a: Do you know how to check the fuse?",
                            "u: I don't know how to.", "a: The fuse is a thin wire. Is it melted?",
                            "u: It is melted.", "a: Replace it."}),
            "Is it melted?");
}

TEST(Target, CreditsWhatTheUserAddsToTheQuestionJustAnswered) {
  EXPECT_THAT(labels({"u: Hello.", "a: How old is it?", "u: Two years.", "a: OK.", "u: It is red.",
                      "a: Replace it."}),
              ElementsAre("1 ask(question_mark) continue(gathers_on) [Two years.] [It is red.]",
                          "3 ask(new_fact) continue(gathers_on)",
                          "5 stop(no_user_message_after) stop(no_user_message_after)"));
  // An expert who takes leave later asks nothing.
  EXPECT_THAT(labels({"u: Hello.", "a: How old is it?", "u: Two years.", "a: Replace it.",
                      "u: Thanks.", "a: Thank you and goodbye.", "u: It is red.", "a: Bye."}),
              ElementsAre("1 ask(question_mark) continue(gathers_on) [Two years.]",
                          "3 inform(asks_nothing) continue(gathers_on)",
                          "5 ask(new_fact) continue(gathers_on)",
                          "7 stop(no_user_message_after) stop(no_user_message_after)"));
}

TEST(Target, CreditsAnAnswerToTheFirstWordingOfAQuestionAskedAgain) {
  const auto session =
      label_by_rules(Lines{"u: Hello.", "a: How old is your battery?", "u: OK thanks.",
                           "a: So how old is the battery?", "u: Two years.", "a: Fine."});
  EXPECT_EQ(session.samples[0].wanted->at(0).question, "How old is your battery?");
  EXPECT_EQ(session.samples[1].wanted->at(0).question, "How old is your battery?");
}

TEST(Target, DropsAQuestionThatTheExpertGivesUp) {
  const auto session = label_by_rules(Lines{"u: Hello.", "a: Do you smoke?", "u: Is it dangerous?",
                                            "a: How old are you?", "u: 34.", "a: Fine."});
  ASSERT_EQ(session.samples[0].wanted->size(), 1u);
  EXPECT_EQ(session.samples[0].wanted->at(0).question, "How old are you?");
}

TEST(Target, CountsAQuestionAsAskedWhenTheAnswerIsIDoNotKnow) {
  EXPECT_THAT(labels({"u: Hello.", "a: How old is it?", "u: I don't know.", "a: Any noise?",
                      "u: No.", "a: How old is it?", "u: Ten years.", "a: Fine."}),
              ElementsAre("1 ask(question_mark) continue(gathers_on) [No.] [Ten years.]",
                          "3 ask(question_mark) continue(gathers_on) [No.]",
                          "5 ask(question_mark) continue(gathers_on)",
                          "7 stop(no_user_message_after) stop(no_user_message_after)"));
}

TEST(Target, LeavesOutAFactWhoseContentWordsStandInTheContext) {
  EXPECT_THAT(labels({"u: I have had a fever for three days.", "a: How long?", "u: For three days.",
                      "a: Any pain?", "u: Yes.", "a: Rest."}),
              ElementsAre("1 ask(question_mark) continue(gathers_on) [Yes.]",
                          "3 ask(question_mark) continue(gathers_on) [Yes.]",
                          "5 stop(no_user_message_after) stop(no_user_message_after)"));
}

TEST(Target, KeepsADenialThatWasSaidOfAnotherQuestion) {
  EXPECT_THAT(labels({"u: Hello.", "a: Any fever?", "u: No, nothing like that.", "a: Any rash?",
                      "u: I don't think so.", "a: Any cough?", "u: Nothing like that.",
                      "a: 咳嗽吗？", "u: 沒有", "a: 头疼吗？", "u: 沒有", "a: Rest."}),
              ElementsAre("1 ask(question_mark) continue(gathers_on) [No, nothing like that.] "
                          "[I don't think so.] [Nothing like that.] [沒有] [沒有]",
                          "3 ask(question_mark) continue(gathers_on) [I don't think so.] "
                          "[Nothing like that.] [沒有] [沒有]",
                          "5 ask(question_mark) continue(gathers_on) [Nothing like that.] [沒有] "
                          "[沒有]",
                          "7 ask(question_mark) continue(gathers_on) [沒有] [沒有]",
                          "9 ask(question_mark) continue(gathers_on) [沒有]",
                          "11 stop(no_user_message_after) stop(no_user_message_after)"));
}

TEST(Target, LeavesOutAFactThatWasSaidBeforeAQuestionInTheSameSentence) {
  EXPECT_THAT(
      labels({"u: I've had a fever for three days, what should I take?", "a: How long?",
              "u: For three days.", "a: Any pain?", "u: No, what should I take?", "a: Rest."}),
      ElementsAre("1 ask(question_mark) continue(gathers_on) [No, what should I take?]",
                  "3 ask(question_mark) continue(gathers_on) [No, what should I take?]",
                  "5 stop(no_user_message_after) stop(no_user_message_after)"));
}

TEST(Target, KeepsAFactThatOnlyAQuestionMentioned) {
  EXPECT_THAT(labels({"u: Hello.", "a: Is the fuse blown?", "u: What is a blown fuse?",
                      "a: A melted one.", "u: It is blown.", "a: Replace it."}),
              ElementsAre("1 ask(question_mark) continue(gathers_on) [It is blown.]",
                          "3 inform(asks_nothing) continue(gathers_on) [It is blown.]",
                          "5 stop(no_user_message_after) stop(no_user_message_after)"));
}

TEST(Target, HasOneItemForEachQuestionAnswered) {
  EXPECT_THAT(labels({"u: Hello.", "a: How old are you? Any allergies?", "u: 34. No allergies.",
                      "a: Do you smoke? Since when?", "u: Ten a day since school", "a: Stop it."}),
              ElementsAre("1 ask(question_mark) continue(gathers_on) [34.] [No allergies.] "
                          "[Ten a day since school] [Ten a day since school]",
                          "3 ask(question_mark) continue(gathers_on) [Ten a day since school] "
                          "[Ten a day since school]",
                          "5 stop(no_user_message_after) stop(no_user_message_after)"));
}

TEST(Target, SpansTheMessagesOfTheAnswer) {
  const Session session = session_of({"u: Hello.", "a: What do you take?", "u: Thanks! Aspirin",
                                      "u: and zinc. Is that bad?", "a: No."});
  const Item item = label_by_rules(session).samples[0].wanted->at(0);
  EXPECT_EQ(item.fact, "Aspirin\nand zinc.");
  EXPECT_EQ(session.messages[item.source_message].text.substr(item.source_begin), "Aspirin");
  EXPECT_EQ(session.messages[item.source_last_message].text.substr(0, item.source_end),
            "and zinc.");
}

TEST(Target, ReachesAsFarAsTheHorizon) {
  const Lines lines = {"u: Cough.", "a: How old?",      "u: 34.",     "a: What is your job?",
                       "u: Baker.", "a: I see.",        "u: Yes.",    "a: Since when?",
                       "u: Monday", "a: Do you smoke?", "u: A pipe.", "a: Rest."};
  const LabelledSession all = label_by_rules(lines);
  LabelOptions options;
  for (options.horizon = 1; options.horizon < 8; ++options.horizon) {
    const LabelledSession near = label_by_rules(lines, options);
    ASSERT_EQ(near.samples.size(), all.samples.size());
    for (size_t i = 0; i < all.samples.size(); ++i) {
      std::vector<Item> expected;
      for (const Item& item : *all.samples[i].wanted) {
        const auto between =
            std::count_if(all.turns.begin() + static_cast<std::ptrdiff_t>(all.samples[i].turn),
                          all.turns.begin() + static_cast<std::ptrdiff_t>(item.question_turn),
                          [](const Turn& turn) { return turn.role == Role::kAssistant; });
        if (static_cast<uint64_t>(between) < options.horizon) expected.push_back(item);
      }
      EXPECT_EQ(*near.samples[i].wanted, expected)
          << "turn " << all.samples[i].turn << ", horizon " << options.horizon;
    }
  }
  options.horizon = 2;
  EXPECT_THAT(labels(lines, options),
              ElementsAre("1 ask(question_mark) continue(gathers_on) [34.] [Baker.]",
                          "3 ask(question_mark) continue(gathers_on) [Baker.]",
                          "5 inform(asks_nothing) continue(gathers_on) [Monday]",
                          "7 ask(question_mark) continue(gathers_on) [Monday] [A pipe.]",
                          "9 ask(question_mark) continue(gathers_on) [A pipe.]",
                          "11 stop(no_user_message_after) stop(no_user_message_after)"));
}

TEST(Target, PastTheHorizonIsNoReasonToStop) {
  // At turn 1 the pipe is still to come; at turn 3, where it is asked for, it was told already.
  const Lines lines = {"u: It hurts.",     "a[inform]: I see.",  "u: I smoke a pipe.",
                       "a: Do you smoke?", "u: I smoke a pipe.", "a: Rest.",
                       "u: Thanks."};
  LabelOptions options;
  options.acts.inform = {"inform"};
  options.stop_when_nothing_follows = true;
  EXPECT_THAT(labels(lines, options),
              ElementsAre("1 inform(act_label) continue(gathers_on) [I smoke a pipe.]",
                          "3 stop(nothing_follows) stop(nothing_follows)"));
  options.horizon = 1;
  EXPECT_THAT(labels(lines, options), ElementsAre("1 inform(act_label) continue(gathers_on)",
                                                  "3 stop(nothing_follows) stop(nothing_follows)"));
}

TEST(Target, IsReadInChineseToo) {
  EXPECT_THAT(
      labels({"u: 我头疼", "a: 您好，请问多久了？", "u: 三天了", "a: 有没有发烧", "u: 不清楚",
              "a: 什么药都没吃吗？", "u: 谢谢", "a: 请问吃过药吗", "u: 阿司匹林", "a: 多休息。"}),
      ElementsAre("1 ask(question_mark) continue(gathers_on) [三天了] [阿司匹林]",
                  "3 ask(question_form) continue(gathers_on) [阿司匹林]",
                  "5 ask(question_mark) continue(gathers_on) [阿司匹林]",
                  "7 ask(question_form) continue(gathers_on) [阿司匹林]",
                  "9 stop(no_user_message_after) stop(no_user_message_after)"));
  // Whoever says 几天 asks for it or has an amount.
  EXPECT_THAT(labels({"u: 我咳嗽", "a: 咳嗽几天了", "u: 有几天了", "a: 多休息。"}),
              ElementsAre("1 ask(question_form) continue(gathers_on) [有几天了]",
                          "3 stop(no_user_message_after) stop(no_user_message_after)"));
}

TEST(Stop, FiresAtAnExplicitLabelAndEndsTheSamples) {
  EXPECT_THAT(labels({"u: It broke.", "a: How old?", "u: Ten years.", "a[solve]: Replace it, OK?",
                      "u: Done.", "a: Does it work?", "u: It works.", "a: Good."}),
              ElementsAre("1 ask(question_mark) continue(gathers_on) [Ten years.]",
                          "3 stop(act_label) stop(act_label)"));
}

TEST(Stop, FiresAtATerminalMarker) {
  EXPECT_THAT(labels({"u: Cough.", "a: How old?", "u: 34.", "a: Anything else? <med_search>",
                      "u: And a cold.", "a: Take this."}),
              ElementsAre("1 ask(question_mark) continue(gathers_on) [34.]",
                          "3 stop(terminal_marker) stop(terminal_marker)"));
}

TEST(Stop, FiresWhereNoUserMessageFollowsATurnThatAsksNothing) {
  EXPECT_THAT(labels({"u: Cough.", "a: Rest."}),
              ElementsAre("1 stop(no_user_message_after) stop(no_user_message_after)"));
}

TEST(Stop, DoesNotFireByDefaultWhereOnlyThanksFollow) {
  EXPECT_THAT(labels({"u: Cough.", "a: Rest.", "u: Thanks."}),
              ElementsAre("1 inform(asks_nothing) continue(gathers_on)"));
}

TEST(Stop, FiresByOptionFromWhereOnNothingIsLearnt) {
  LabelOptions options;
  options.stop_when_nothing_follows = true;
  EXPECT_THAT(
      labels({"u: Cough.", "a: How old?", "u: 34.", "a: Rest.", "u: Thanks.", "a: Bye.", "u: Bye."},
             options),
      ElementsAre("1 ask(question_mark) continue(gathers_on) [34.]",
                  "3 stop(nothing_follows) stop(nothing_follows)"));
  // A session without its end in the log has none.
  EXPECT_THAT(
      labels({"u: Cough.", "a: Rest.", "u: Thanks.", "a: How old?"}, options),
      ElementsAre("1 inform(asks_nothing) continue(gathers_on)", "3 ask(question_mark) censored"));
}

TEST(Stop, IsCensoredWhereTheLastExpertTurnAsks) {
  const auto session = label_by_rules(Lines{"u: Cough.", "a: How old?", "u: 34.", "a: Fever?"});
  EXPECT_TRUE(session.censored);
  EXPECT_THAT(lines_of(session), ElementsAre("1 ask(question_mark) continue(gathers_on) [34.]",
                                             "3 ask(question_mark) censored"));
}

TEST(Stop, IsCensoredWhereTheSourceSaysThatTheEndIsNotInTheLog) {
  Session session = session_of({"u: Cough.", "a: How old?", "u: 34.", "a: Rest. <med_search>"});
  session.stop_seen = false;
  const auto labelled = label_by_rules(session);
  EXPECT_TRUE(labelled.censored);
  EXPECT_THAT(lines_of(labelled), ElementsAre("1 ask(question_mark) continue(gathers_on) [34.]",
                                              "3 inform(asks_nothing) censored"));
}

TEST(Stop, FiresAtTheLastTurnWhereTheSourceSaysThatTheEndIsInTheLog) {
  Session session = session_of({"u: Cough.", "a: That was all. Do you have any questions?"});
  session.stop_seen = true;
  EXPECT_THAT(lines_of(label_by_rules(session)), ElementsAre("1 stop(stop_seen) stop(stop_seen)"));
}

TEST(Compat, StopsIffNoUserMessageIsLeftAndDropsEmptyTargets) {
  LabelOptions options;
  options.compat = true;
  RuleExtractor extractor(shipped_forms());
  Labeller labeller(options, shipped_forms(), extractor);
  const auto session = labeller
                           .label(session_of({"u: Cough.", "a: How old? <med_search>", "u: 34.",
                                              "a: Rest.", "u: Thanks.", "a: How long?"}))
                           .session;
  EXPECT_THAT(lines_of(*session),
              ElementsAre("1 ask(question_mark) continue(user_message_left) [34.]",
                          "5 stop(no_user_message_after) stop(no_user_message_after)"));
  EXPECT_EQ(labeller.dropped(), 1u);
}

class FailingExtractor final : public Extractor {
 public:
  std::string name() const override { return "failing"; }
  std::vector<Targets> extract(std::span<const Gathering> gatherings) override {
    std::vector<Targets> all(gatherings.size());
    for (size_t i = 0; i < gatherings.size(); ++i) {
      for (const size_t t : gatherings[i].expert_turns) {
        if (t == 3) {
          all[i].emplace_back(Error{ErrorCode::kUnavailable, "no answer"});
        } else {
          all[i].emplace_back(std::vector<Item>());
        }
      }
    }
    return all;
  }
};

TEST(Labeller, LeavesAFailedExtractionUnlabelledAndSaysSo) {
  FailingExtractor extractor;
  LabelOptions options;
  options.stop_when_nothing_follows = true;  // nothing is known of turn 3: no stop before it
  Labeller labeller(options, shipped_forms(), extractor);
  const LabelOutcome outcome = labeller.label(
      session_of({"u: Cough.", "a: Age?", "u: 34.", "a: Job?", "u: Baker.", "a: Rest."}));
  const auto& session = outcome.session;
  EXPECT_THAT(lines_of(*session),
              ElementsAre("1 ask(question_mark) continue(gathers_on)",
                          "3 ask(question_mark) continue(gathers_on) unlabelled",
                          "5 stop(no_user_message_after) stop(no_user_message_after)"));
  EXPECT_FALSE(is_labelled(session->samples[1]));
  EXPECT_TRUE(has_empty_target(session->samples[0]));
  EXPECT_FALSE(has_empty_target(session->samples[1]));
  EXPECT_FALSE(has_empty_target(session->samples[2]));
  ASSERT_EQ(outcome.extraction_errors.size(), 1u);
  EXPECT_EQ(outcome.extraction_errors[0].message, "s/3: no answer");
}

TEST(Labeller, LabelsManySessionsAsItDoesEachAlone) {
  RuleExtractor extractor(shipped_forms());
  Labeller labeller({}, shipped_forms(), extractor);
  std::vector<Session> sessions = {
      session_of(
          {"u: Cough.", "a: How old?", "u: 34.", "a: Since when?", "u: Monday.", "a: Rest."}),
      session_of({"u: Hello."}),
      session_of({"u: It broke.", "a: Is it plugged in?", "u: Yes.", "a: Buy one."})};
  const auto together = labeller.label(sessions);
  ASSERT_EQ(together.size(), 3u);
  EXPECT_FALSE(together[1].session);
  for (const size_t i : {0, 2}) {
    EXPECT_EQ(to_json(*together[i].session), to_json(*labeller.label(sessions[i]).session));
  }
}

TEST(Labeller, RefusesSessionsAndOptionsThatMakeNoSense) {
  RuleExtractor extractor(shipped_forms());
  Labeller labeller({}, shipped_forms(), extractor);
  for (const Lines& lines :
       {Lines{"u: Hello."}, Lines{"a: Hello?"}, Lines{"a: Hello?", "u: Hi."}}) {
    const auto session = labeller.label(session_of(lines)).session;
    ASSERT_FALSE(session);
    EXPECT_EQ(session.error().message, "no expert message after a user message");
  }
  Session claims = session_of({"u: Hello.", "a: Since when?", "u: Monday.", "a: Rest."});
  claims.extra["items"] = {"a claim"};
  const auto refused = labeller.label(claims).session;
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().message, "'items': the labels have a key of that name: rename it");
  LabelOptions options;
  options.stop_markers = {"<end>", ""};
  EXPECT_THROW(Labeller(options, shipped_forms(), extractor), Failure);
  options = {};
  options.compat = true;
  options.horizon = 3;
  EXPECT_THROW(Labeller(options, shipped_forms(), extractor), Failure);
}

}  // namespace
}  // namespace l2a
