#include "eval/evaluate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/utf8.h"
#include "eval/metrics.h"
#include "eval/policies.h"
#include "eval/testing.h"

namespace l2a {
namespace {

using testing::make_session;

// 1 for a question that is an open item's own, else 0; fails on questions with "fail".
class SameQuestion : public Grader {
 public:
  std::string name() const override { return "same question"; }
  std::vector<Result<Grade>> grade(std::span<const GradeRequest> requests) override {
    std::vector<Result<Grade>> grades;
    for (const GradeRequest& request : requests) {
      if (request.question.find("fail") != std::string::npos) {
        grades.push_back(Error{ErrorCode::kUnavailable, "grader: down"});
        continue;
      }
      double content = 0;
      for (const Item& item : request.wanted) {
        if (question_key(item.question) == question_key(request.question)) content = 1;
      }
      grades.push_back(Grade{content, "compared"});
    }
    return grades;
  }
};

QuestionForms forms() { return QuestionForms::load(L2A_SOURCE_DIR "/prompts/questions"); }

std::vector<LabelledSession> two_sessions() {
  return {make_session("a", {"My head hurts.", "Since when?", "Two days.", "How old are you?",
                             "Thirty.", "Take a rest."}),
          make_session("b", {"I cough.", "How old are you?", "Fifty.", "Do you smoke?", "No.",
                             "Drink tea."})};
}

Evaluation run(Policy& policy, std::span<const LabelledSession> sessions,
               const EvaluationOptions& options = {}) {
  SameQuestion grader;
  Grader* const graders[] = {&grader};
  return evaluate(policy, sessions, graders, forms(), options, [](size_t) {})[0];
}

double metric(const Evaluation& evaluation, Metric which) {
  return measure(evaluation.rows)[static_cast<size_t>(which)].value().value;
}

TEST(NearestContextPolicy, DoesWhatTheExpertOfTheNearestOtherSessionDid) {
  const auto training = two_sessions();
  const auto format = ReplyFormat::kPlain;
  NearestContextPolicy policy(training, forms(), format);
  const auto reply_to = [&](const std::string& id, const std::vector<Turn>& turns) {
    const Context context{id, turns};
    return policy.reply({&context, 1}, {.replies = 2})[0];
  };
  const Turn cough{.role = Role::kUser, .text = "I have a cough."};
  const auto replies = reply_to("new/1", {cough});
  ASSERT_EQ(replies.size(), 2u);
  EXPECT_EQ(replies[0].text, "How old are you?");
  EXPECT_EQ(replies[1].text, "How old are you?");
  // All of b but its advice: nearest is where b stops.
  EXPECT_EQ(reply_to("new/5", {training[1].turns.begin(), training[1].turns.begin() + 5})[0].text,
            "<stop />");
  // Asked about b itself, a answers: nearest is its one context with an age in it.
  EXPECT_EQ(reply_to("b/3", {training[1].turns.begin(), training[1].turns.begin() + 3})[0].text,
            "<stop />");
  EXPECT_EQ(reply_to("a/1", {{.role = Role::kUser, .text = "Hm."}})[0].text, "How old are you?");
  EXPECT_THROW(NearestContextPolicy({}, forms(), format), Failure);
}

TEST(Evaluate, AlwaysStopIsRightAtStopsAndNowhereElse) {
  const auto sessions = two_sessions();
  auto policy = ConstantPolicy::always_stop(ReplyFormat::kPlain);
  const Evaluation evaluation = run(policy, sessions);
  ASSERT_EQ(evaluation.rows.size(), 6u);
  EXPECT_EQ(metric(evaluation, Metric::kTr), 1);
  EXPECT_EQ(metric(evaluation, Metric::kCr), 0);
  EXPECT_EQ(metric(evaluation, Metric::kWa), 0);
  EXPECT_DOUBLE_EQ(metric(evaluation, Metric::kReward), 4.0 / 3);
  // The published constant: 0.528 * 4.
  EXPECT_NEAR(metric(evaluation, Metric::kRewardPublished), 2.11, 0.005);
}

TEST(Evaluate, AFixedQuestionIsRightWhereItIsStillOpenAndRepeatedWhereItWasAsked) {
  const auto sessions = two_sessions();
  EXPECT_EQ(most_frequent_question(sessions, forms()), "How old are you?");
  auto policy = ConstantPolicy::always_ask("how old are you", ReplyFormat::kTuple);
  const Evaluation evaluation = run(policy, sessions, {.scoring = {.format = ReplyFormat::kTuple}});
  EXPECT_EQ(metric(evaluation, Metric::kCr), 1);
  EXPECT_EQ(metric(evaluation, Metric::kTr), 0);
  EXPECT_DOUBLE_EQ(metric(evaluation, Metric::kWaGh), 0.5);
  // Asked before: at the stop of a, at b's second question and at its stop.
  EXPECT_DOUBLE_EQ(metric(evaluation, Metric::kRepeated), 3.0 / 6);
  EXPECT_EQ(metric(evaluation, Metric::kQuestionsPerSession), 3);
}

TEST(Evaluate, TheExpertIsRightByConstruction) {
  const auto sessions = two_sessions();
  for (const ReplyFormat format : {ReplyFormat::kPlain, ReplyFormat::kTuple}) {
    ExpertPolicy policy(sessions, format);
    const Evaluation evaluation =
        run(policy, sessions, {.role = PolicyRole::kExpert, .scoring = {.format = format}});
    EXPECT_EQ(metric(evaluation, Metric::kBalancedAccuracy), 1);
    EXPECT_EQ(metric(evaluation, Metric::kWaGh), 1);
    EXPECT_EQ(metric(evaluation, Metric::kReward), 4);
    EXPECT_EQ(metric(evaluation, Metric::kRepeated), 0);
  }
  ExpertPolicy policy(sessions, ReplyFormat::kPlain);
  const Context unknown{"z/1", {}};
  try {
    policy.reply(std::span(&unknown, 1), {});
    FAIL();
  } catch (const Failure& failure) {
    EXPECT_STREQ(failure.what(), "expert: z/1: not a sample of the labelled sessions");
  }
}

// Wrong decisions need no grade: past some failures they alone would make up the result, however
// many of them there are.
TEST(Evaluate, GivesNoResultWhenTheGraderFailedTooOften) {
  const auto sessions = two_sessions();
  auto policy = ConstantPolicy::always_ask("Will this fail?", ReplyFormat::kPlain);
  try {
    run(policy, sessions, {.max_failure_rate = 0.9});
    FAIL();
  } catch (const Failure& failure) {
    EXPECT_STREQ(failure.what(),
                 "evaluate: grader same question: 4 of 4 replies could not be scored "
                 "(max_failure_rate = 0.9), first a/1: unscored: grader: down");
  }
}

TEST(Evaluate, CountsWhatIsLeftOutAndWhatIsUnscored) {
  auto sessions = two_sessions();
  sessions[0].samples[0].wanted.reset();    // extraction failed
  sessions[0].samples[2].decision.reset();  // censored
  sessions[1].samples[0].wanted->clear();   // nothing left to ask
  auto policy = ConstantPolicy::always_ask("Will this fail?", ReplyFormat::kPlain);
  const Evaluation evaluation = run(policy, sessions, {.max_failure_rate = 1});
  EXPECT_EQ(evaluation.facts.unlabelled, 1u);
  EXPECT_EQ(evaluation.facts.censored, 1u);
  EXPECT_EQ(evaluation.facts.dropped_empty, 0u);
  ASSERT_EQ(evaluation.rows.size(), 4u);
  EXPECT_EQ(count_rows(evaluation.rows).unscored, 2u);
  EXPECT_EQ(count_rows(evaluation.rows).empty_rows, 1u);
  EXPECT_FALSE(measure(evaluation.rows)[static_cast<size_t>(Metric::kWa)]);
  EXPECT_EQ(evaluation.rows[0].reason, "unscored: grader: down");

  const Evaluation compat =
      run(policy, sessions, {.scoring = {.compat = true}, .max_failure_rate = 1});
  EXPECT_EQ(compat.facts.dropped_empty, 1u);
  EXPECT_EQ(compat.rows.size(), 3u);
}

TEST(Evaluate, GivesTheSameRowsInOneBatchOrManyAndReportsEverySession) {
  const auto sessions = two_sessions();
  ExpertPolicy policy(sessions, ReplyFormat::kPlain);
  SameQuestion grader, other;
  Grader* const graders[] = {&grader, &other};
  std::vector<std::string> rows[2];
  for (const size_t batch : {1, 32}) {
    size_t done = 0;
    EvaluationOptions options{.decoding = published_decoding(), .sessions_per_batch = batch};
    const auto evaluations =
        evaluate(policy, sessions, graders, forms(), options, [&](size_t n) { done += n; });
    EXPECT_EQ(done, sessions.size());
    ASSERT_EQ(evaluations.size(), 2u);
    for (const ScoredRow& row : evaluations[1].rows)
      rows[batch == 1].push_back(dump_json(to_json(row)));
    EXPECT_EQ(evaluations[1].rows.size(), 18u);  // three replies a context
    EXPECT_EQ(evaluations[1].rows[4].reply_index, 1u);
  }
  EXPECT_EQ(rows[0], rows[1]);
}

// Bytes that are not UTF-8, as a byte-level tokenizer can produce.
class BrokenBytes : public Policy {
 public:
  std::string name() const override { return "broken"; }
  std::vector<std::vector<Reply>> reply(std::span<const Context> contexts,
                                        const DecodingOptions&) override {
    return std::vector<std::vector<Reply>>(contexts.size(), {{"How\xC3 old\xFF?", false}});
  }
};

TEST(Evaluate, KeepsARowOfAReplyThatIsNotUtf8) {
  const auto sessions = two_sessions();
  BrokenBytes policy;
  const Evaluation evaluation = run(policy, sessions);
  EXPECT_EQ(evaluation.rows[0].reply.text, "How\uFFFD old\uFFFD?");
  EXPECT_EQ(metric(evaluation, Metric::kMalformed), 1);
}

TEST(Evaluate, RefusesSessionsWithoutASample) {
  std::vector<LabelledSession> sessions = {make_session("a", {"Hello."})};
  auto policy = ConstantPolicy::always_stop(ReplyFormat::kPlain);
  try {
    run(policy, sessions, {.split = "dev"});
    FAIL();
  } catch (const Failure& failure) {
    EXPECT_STREQ(failure.what(),
                 "evaluate: dev: none of its 1 sessions has a sample with both targets");
  }
}

TEST(ConstantPolicies, RefuseWhatIsNoQuestion) {
  EXPECT_THROW(ConstantPolicy::always_ask(" \n", ReplyFormat::kPlain), Failure);
  std::vector<LabelledSession> silent = {make_session("a", {"Hi.", "Here you are.", "Thanks."})};
  EXPECT_THROW(most_frequent_question(silent, forms()), Failure);
}

}  // namespace
}  // namespace l2a
