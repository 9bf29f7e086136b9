#include "service/reward_forms.h"

#include <iterator>
#include <stdexcept>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "hindsight/testing.h"

namespace l2a {
namespace {

using ::testing::SizeIs;
using ::testing::StartsWith;

Json parsed(const std::string& text) { return parse_json(text).value_or_throw(); }

// "s/1" goes on, "s/3" stops, "t/1" goes on and nobody knows what it asks for.
const std::vector<LabelledSession>& sessions() {
  static const std::vector<LabelledSession> kSessions = [] {
    LabelledSession known =
        label_by_rules({"u: I cough.", "a: Since when?", "u: Monday.", "a: Take this."});
    LabelledSession unlabelled =
        label_by_rules({"u: My ear hurts.", "a: Any fever?", "u: No.", "a: Rest."});
    unlabelled.id = "t";
    unlabelled.samples.at(0).wanted.reset();
    return std::vector{known, unlabelled};
  }();
  return kSessions;
}
const SampleIndex& samples() {
  static const SampleIndex kIndex(sessions());
  return kIndex;
}

const RewardForm& form_at(const std::string& path) {
  for (const RewardForm& form : reward_forms()) {
    if (form.path == path) return form;
  }
  throw std::logic_error("no form " + path);
}

Result<std::vector<ScoreRequest>> read_at(const std::string& path, const std::string& body) {
  return form_at(path).read(parsed(body), samples());
}

void expect_request(const ScoreRequest& request, const std::string& id, const std::string& text,
                    bool truncated = false) {
  EXPECT_EQ(sample_id(*request.session, *request.sample), id);
  EXPECT_EQ(request.reply.text, text);
  EXPECT_EQ(request.reply.truncated, truncated);
}

ScoredReply scored(RewardParts parts, double reward, const std::string& reason) {
  ScoredReply reply;
  reply.action = Action{.decision = Decision::kContinue, .question = "Why?"};
  reply.parts = parts;
  reply.reward = reward;
  reply.reason = reason;
  return reply;
}
ScoredReply unscored(const std::string& reason) {
  ScoredReply reply;
  reply.reason = reason;
  return reply;
}

TEST(RewardForms, OursIsRead) {
  const auto requests = read_at("/score", R"({"replies": [
      {"context": "s/1", "text": "Why?"},
      {"context": "t/1", "text": " <stop />\n", "truncated": true},
      {"messages": [{"role": "system", "content": "Be brief."},
                    {"role": "user", "content": "I cough."},
                    {"role": "assistant", "content": "Since when?", "name": "x"},
                    {"role": "user", "content": "Monday."}], "text": "", "truncated": false}]})");
  ASSERT_TRUE(requests) << requests.error().message;
  ASSERT_THAT(*requests, SizeIs(3));
  expect_request((*requests)[0], "s/1", "Why?");
  expect_request((*requests)[1], "t/1", " <stop />\n", true);
  expect_request((*requests)[2], "s/3", "");
}

TEST(RewardForms, ThoseOfTrainersAreRead) {
  const auto trl = read_at("/trl", R"({"samples": ["s/3", "t/1"], "completions": ["a", "b "]})");
  ASSERT_TRUE(trl) << trl.error().message;
  expect_request(trl->at(0), "s/3", "a");
  expect_request(trl->at(1), "t/1", "b ");
  const auto cut = read_at(
      "/trl",
      R"({"samples": ["s/1", "s/1"], "completions": ["a", "b"], "truncated": [false, true]})");
  ASSERT_TRUE(cut) << cut.error().message;
  expect_request(cut->at(0), "s/1", "a");
  expect_request(cut->at(1), "s/1", "b", true);
  const auto verl = read_at(
      "/verl", R"({"ground_truths": ["s/3", "s/1"], "solution_strs": ["a<|im_end|>", ""]})");
  ASSERT_TRUE(verl) << verl.error().message;
  expect_request(verl->at(0), "s/3", "a<|im_end|>");  // veRL leaves end tokens out
  expect_request(verl->at(1), "s/1", "");
  const auto openrlhf = read_at("/openrlhf", R"({"query": ["p\nq Why?<|im_end|>", "p<stop /></s>"],
      "prompts": ["p\nq", "p"], "labels": ["s/1", "s/3"]})");
  ASSERT_TRUE(openrlhf) << openrlhf.error().message;
  expect_request(openrlhf->at(0), "s/1", " Why?");
  expect_request(openrlhf->at(1), "s/3", "<stop />");
}

TEST(RewardForms, TakeNoReplies) {
  const char* bodies[] = {R"({"replies": []})", R"({"samples": [], "completions": []})",
                          R"({"query": [], "prompts": [], "labels": []})",
                          R"({"ground_truths": [], "solution_strs": []})"};
  ASSERT_THAT(reward_forms(), SizeIs(std::size(bodies)));
  for (size_t i = 0; i < std::size(bodies); ++i) {
    const auto requests = reward_forms()[i].read(parsed(bodies[i]), samples());
    ASSERT_TRUE(requests) << requests.error().message;
    EXPECT_THAT(*requests, SizeIs(0));
  }
}

TEST(RewardForms, RefuseWithTheKeyAndTheEntry) {
  const struct {
    const char *path, *body, *why;
  } cases[] = {
      {"/score", "[]", "expected an object, got an array"},
      {"/score", "{}", "'replies': missing"},
      {"/score", R"({"replies": {}})", "'replies': expected a list"},
      {"/score", R"({"replies": [3]})", "'replies'[0]: expected an object"},
      {"/score",
       R"({"replies": [{"context": "s/1", "text": "a"}, {"context": "s/2", "text": "a"}]})",
       "'replies'[1]: the labels have no sample 's/2'"},
      {"/score", R"({"replies": [{"text": "a"}]})",
       "'replies'[0]: expected one of 'context' and 'messages'"},
      {"/score", R"({"replies": [{"context": "s/1"}]})", "'replies'[0]: 'text': missing"},
      {"/score", R"({"replies": [{"context": "s/1", "text": null}]})", "'replies'[0]: 'text': "},
      {"/score", R"({"replies": [{"context": "s/1", "text": "a", "truncated": 1}]})",
       "'replies'[0]: 'truncated': "},
      {"/score", R"({"replies": [{"messages": [{"role": "tool", "content": "x"}], "text": "a"}]})",
       "'replies'[0]: 'messages': 'role': expected system, user or assistant, got 'tool'"},
      {"/score", R"({"replies": [{"messages": [{"role": "user", "content": "x"}], "text": "a"}]})",
       "'replies'[0]: no labelled session goes on from this conversation"},
      {"/trl", R"({"completions": ["a"]})", "'samples': missing"},
      {"/trl", R"({"samples": ["s/1"], "completions": ["a", "b"]})",
       "'samples' has 1 entries and 'completions' 2"},
      {"/trl", R"({"samples": ["s/1", 2], "completions": ["a", "b"]})",
       "'samples'[1]: expected a text"},
      {"/trl", R"({"samples": ["s/1", "x"], "completions": ["a", "b"]})",
       "'samples'[1]: the labels have no sample 'x'"},
      {"/trl", R"({"samples": ["s/1"], "completions": ["a"], "truncated": [true, true]})",
       "'samples' has 1 entries and 'truncated' 2"},
      {"/trl", R"({"samples": ["s/1"], "completions": ["a"], "truncated": ["no"]})",
       "'truncated'[0]: expected a bool"},
      {"/verl", R"({"ground_truths": ["s/1"]})", "'solution_strs': missing"},
      {"/verl", R"({"ground_truths": ["s/1", "t/1"], "solution_strs": ["a", "b"]})",
       "'ground_truths'[1]: sample 't/1' is unlabelled"},
      {"/openrlhf", R"({"query": ["p a"], "prompts": [], "labels": ["s/1"]})",
       "'query' has 1 entries and 'prompts' 0"},
      {"/openrlhf", R"({"query": ["p a", "a"], "prompts": ["p", "p"], "labels": ["s/1", "s/1"]})",
       "'query'[1]: it does not begin with its prompt"},
      {"/openrlhf", R"({"query": ["p a"], "prompts": ["p"], "labels": ["t/1"]})",
       "'labels'[0]: sample 't/1' is unlabelled"}};
  for (const auto& [path, body, why] : cases) {
    const auto requests = read_at(path, body);
    ASSERT_FALSE(requests) << body;
    EXPECT_EQ(requests.error().code, ErrorCode::kInvalidInput) << body;
    EXPECT_THAT(requests.error().message, StartsWith(why)) << body;
  }
}

TEST(RewardForms, AreWrittenWithWhatTheyHaveAWordFor) {
  const std::vector<ScoredReply> replies = {
      scored({.macro = 1, .micro = 0.5, .format = 1}, 2.5, "near"), unscored("down"),
      scored({.macro = 0, .micro = 0, .format = 0.5}, 0, "")};
  const RewardSource source{.highest = 4, .prompts = {{"judge", "0a1b"}}};
  EXPECT_TRUE(form_at("/score").has_null);
  EXPECT_EQ(form_at("/score").write(replies, source),
            parsed(R"({"rewards": [2.5, null, 0], "details": [
      {"macro": 1, "micro": 0.5, "format": 1, "malformed": false, "reason": "near"},
      {"macro": null, "micro": null, "format": null, "malformed": true, "reason": "down"},
      {"macro": 0, "micro": 0, "format": 0.5, "malformed": false, "reason": ""}],
      "grading_prompts": {"judge": "0a1b"}})"));
  EXPECT_TRUE(form_at("/trl").has_null);
  EXPECT_EQ(form_at("/trl").write(replies, source), parsed(R"({"rewards": [2.5, null, 0]})"));
  const std::vector<ScoredReply> all = {replies[0], replies[2]};
  EXPECT_FALSE(form_at("/verl").has_null);
  EXPECT_EQ(form_at("/verl").write(all, source), parsed(R"({"scores": [2.5, 0]})"));
  EXPECT_FALSE(form_at("/openrlhf").has_null);
  EXPECT_EQ(form_at("/openrlhf").write(all, source),
            parsed(R"({"rewards": [2.5, 0], "scores": [0.625, 0],
                       "extra_logs": {"macro": [1, 0], "micro": [0.5, 0], "format": [1, 0.5]}})"));
}

}  // namespace
}  // namespace l2a
