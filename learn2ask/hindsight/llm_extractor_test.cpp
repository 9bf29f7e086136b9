#include "hindsight/llm_extractor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "hindsight/testing.h"
#include "llm/testing.h"

namespace l2a {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

const std::vector<std::string> kLines = {"u: I cough.",          // 1
                                         "u: Help me.",          // 2
                                         "a: How old are you?",  // 3
                                         "u: Why?",              // 4
                                         "a: For the dose.",     // 5
                                         "u: 34, and I smoke.",  // 6
                                         "a: Any fever?",        // 7
                                         "u: No fever.",         // 8
                                         "a: Take this."};

Json claim(int asked, const std::string& question, int answered, const std::string& quotation,
           bool unknown = false) {
  return {{"question_message", asked},
          {"question", question},
          {"answer_message", answered},
          {"quotation", quotation},
          {"unknown", unknown}};
}
std::string answers(const std::vector<Json>& claims) { return dump_json({{"answers", claims}}); }

// Labels kLines with a model that says `texts`, one after the other.
struct Labelled {
  explicit Labelled(std::vector<std::string> texts, LlmExtractionOptions options = {})
      : client([said = std::move(texts), next = size_t{0}](const ChatRequest&) mutable {
          return next < said.size() ? Result<ChatReply>(ChatReply{.text = said[next++]})
                                    : Error{ErrorCode::kUnavailable, "500: down"};
        }),
        extractor(client,
                  Prompt::load(L2A_SOURCE_DIR "/prompts/extraction/" + options.per + "." +
                                   options.prompt + ".txt",
                               LlmExtractor::places(options)),
                  shipped_forms(), options),
        outcome(Labeller({}, shipped_forms(), extractor).label(session_of(kLines))) {}

  // "question > fact" of each item still open at a turn, or what stands for a missing target.
  std::vector<std::string> wanted(size_t sample) const {
    const auto& target = outcome.session->samples[sample].wanted;
    if (!target) return {"unlabelled"};
    std::vector<std::string> out;
    for (const Item& item : *target) out.push_back(item.question + " > " + item.fact);
    return out;
  }

  ScriptedClient client;
  LlmExtractor extractor;
  LabelOutcome outcome;
};

TEST(LlmExtractor, ReadsAllTurnsFromOneAnswer) {
  const Labelled it(
      {answers({claim(3, "How old are you", 6, "34"), claim(7, "any fever?", 8, "no fever")})});
  ASSERT_EQ(it.client.requests.size(), 1u);
  EXPECT_THAT(it.wanted(0), ElementsAre("How old are you > 34", "Any fever > No fever"));
  EXPECT_THAT(it.wanted(1), ElementsAre("How old are you > 34", "Any fever > No fever"));
  EXPECT_THAT(it.wanted(2), ElementsAre("Any fever > No fever"));
  EXPECT_THAT(it.wanted(3), ElementsAre());
  EXPECT_EQ(it.extractor.counts().answers, 2u);
}

TEST(LlmExtractor, ShowsTheLogAsNumberedDataUpToTheStop) {
  const Labelled it({answers({})});
  const std::string& prompt = it.client.requests[0].messages[1].content;
  EXPECT_THAT(prompt, HasSubstr(R"({"message":2,"from":"user","text":"Help me."})"));
  EXPECT_THAT(prompt, HasSubstr(R"({"message":8,"from":"user","text":"No fever."})"));
  EXPECT_THAT(prompt, Not(HasSubstr("Take this.")));
}

TEST(LlmExtractor, LeavesOutWhatNobodySaid) {
  const struct {
    Json claim;
    size_t not_said, not_asked;
  } cases[] = {
      {claim(3, "How old are you?", 6, "35"), 1, 0},     // invented
      {claim(7, "Any fever?", 6, "No fever"), 1, 0},     // of another message
      {claim(5, "For the dose.", 5, "the dose"), 1, 0},  // not the user's
      {claim(7, "Any fever?", 1, "I cough"), 0, 1},      // before the question
      {claim(2, "Help me", 6, "I smoke"), 0, 1},         // not the expert's
  };
  for (const auto& c : cases) {
    const Labelled it({answers({claim(3, "How old are you?", 6, "34"), c.claim})});
    EXPECT_THAT(it.wanted(0), ElementsAre("How old are you > 34")) << c.claim;
    EXPECT_EQ(it.extractor.counts().answers, 2u) << c.claim;
    EXPECT_EQ(it.extractor.counts().not_said, c.not_said) << c.claim;
    EXPECT_EQ(it.extractor.counts().not_asked, c.not_asked) << c.claim;
  }
}

TEST(LlmExtractor, TakesTheExpertsWordsForTheQuestionWhateverTheModelWrites) {
  const Labelled it({answers(
      {claim(3, "What is the age of the patient?", 6, "34"), claim(5, "anything", 6, "I smoke")})});
  EXPECT_THAT(it.wanted(0), ElementsAre("How old are you? > 34", "For the dose. > I smoke"));
}

TEST(LlmExtractor, HoldsWhatTheUserDoesNotKnowForAskedAndForNoFact) {
  const Labelled it({answers({claim(3, "How old are you?", 6, "34", true)})});
  EXPECT_THAT(it.wanted(0), ElementsAre());
}

TEST(LlmExtractor, AsksOnceMoreAfterAnAnswerThatCannotBeUsed) {
  for (const std::string& bad :
       {std::string("I am sorry"), std::string(R"({"answer": []})"),
        answers({claim(3, "How old are you?", 99, "34")}), answers({claim(0, "x", 6, "34")}),
        answers({claim(3, "How old are you?", 6, "invented")}),
        answers({claim(7, "Any fever?", 8, "No fever"), claim(3, "How old are you?", 6, "35"),
                 claim(5, "For the dose.", 6, "I drink")}),  // most of it invented
        std::string(R"({"answers": [{"question_message": "3"}]})"),
        std::string(R"({"answers": [{"question_message": 2.5}]})"),
        std::string(R"({"answers": [{"question_message": -1e300}]})")}) {
    const Labelled mended({bad, answers({claim(3, "How old are you?", 6, "34")})});
    EXPECT_EQ(mended.client.requests.size(), 2u) << bad;
    EXPECT_THAT(mended.wanted(0), ElementsAre("How old are you > 34")) << bad;
    EXPECT_EQ(mended.extractor.counts().answers, 1u) << bad;

    const Labelled twice({bad, bad, answers({})});
    EXPECT_EQ(twice.client.requests.size(), 2u) << bad;
    for (size_t i = 0; i < 3; ++i) EXPECT_THAT(twice.wanted(i), ElementsAre("unlabelled")) << bad;
    EXPECT_THAT(twice.wanted(3), ElementsAre()) << bad;  // the stop, whatever was read
    EXPECT_EQ(twice.outcome.extraction_errors.size(), 3u) << bad;
  }
}

TEST(LlmExtractor, LeavesUnlabelledWhatNobodyAnswered) {
  const Labelled it({});
  EXPECT_THAT(it.wanted(0), ElementsAre("unlabelled"));
  EXPECT_EQ(it.outcome.extraction_errors[0].message, "s/1: 500: down");
}

TEST(LlmExtractor, AsksForEachTurnByOption) {
  LlmExtractionOptions options;
  options.per = "turn";
  const std::string age = answers({claim(3, "How old are you?", 6, "34")});
  const std::string fever = answers({claim(7, "Any fever?", 8, "No fever")});
  const std::string past =
      answers({claim(3, "How old are you?", 6, "34"), claim(7, "Any fever?", 8, "No fever")});
  const Labelled it({age, fever, past}, options);
  EXPECT_EQ(it.client.requests.size(), 3u);  // at the stop nothing is left to read
  EXPECT_THAT(it.wanted(0), ElementsAre("How old are you > 34"));
  EXPECT_THAT(it.wanted(1), ElementsAre("Any fever > No fever"));
  EXPECT_THAT(it.wanted(2), ElementsAre("Any fever > No fever"));  // the other is past
  EXPECT_THAT(it.wanted(3), ElementsAre());
  EXPECT_EQ(it.extractor.counts().not_said, 0u);
}

TEST(LlmExtractor, HoldsWhatWasAskedInTheContextForKnown) {
  LlmExtractionOptions options;
  options.per = "turn";
  const std::string again = answers({claim(3, "How old are you?", 8, "No fever")});
  const Labelled it({answers({}), answers({}), again}, options);
  EXPECT_THAT(it.wanted(2), ElementsAre());  // asked and answered before, by the rules
}

TEST(LlmExtractor, ARepeatedClaimIsOneItem) {
  const Labelled it(
      {answers({claim(3, "How old are you?", 6, "34"), claim(7, "Any fever?", 8, "No fever"),
                claim(3, "How old are you?", 6, "34")})});
  EXPECT_THAT(it.wanted(0), ElementsAre("How old are you > 34", "Any fever > No fever"));
}

TEST(LlmExtractor, HasPromptsInTwoLanguages) {
  for (const char* language : {"en", "zh"}) {
    for (const char* per : {"session", "turn"}) {
      LlmExtractionOptions options;
      options.prompt = language;
      options.per = per;
      const Labelled it({answers({}), answers({}), answers({})}, options);
      EXPECT_THAT(it.client.requests[0].messages[1].content, HasSubstr("How old are you?"));
    }
  }
}

}  // namespace
}  // namespace l2a
