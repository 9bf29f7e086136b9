#include "calibrate/llm_prompt_writer.h"

#include <functional>
#include <set>
#include <sstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/testing.h"
#include "llm/testing.h"

namespace l2a {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

Prompt optimiser(const std::string& step, const std::vector<std::string>& places,
                 const std::string& language = "en") {
  return Prompt::load(L2A_SOURCE_DIR "/prompts/optimiser/" + step + "." + language + ".txt",
                      places);
}

// Shows each mistake as "<item: what was said>", and refuses prompts with "bad" in them.
LlmPromptWriter writer_of(ChatClient& client, const PromptWriterOptions& options = {},
                          uint64_t seed = 1) {
  return {client,
          optimiser("critique", LlmPromptWriter::critique_places()),
          optimiser("rewrite", LlmPromptWriter::rewrite_places()),
          options,
          seed,
          [](const Mistake& mistake) {
            return "<" + std::to_string(mistake.item) + ": " + mistake.outcome.said + ">";
          },
          [](const std::string& text) -> std::optional<Error> {
            if (text.find("bad") == text.npos) return std::nullopt;
            return Error{ErrorCode::kInvalidInput, "it lacks {open}"};
          }};
}

std::vector<Mistake> mistakes(size_t count) {
  std::vector<Mistake> all;
  for (size_t i = 0; i < count; ++i) all.push_back({i, {1, "said " + std::to_string(i)}});
  return all;
}

bool asks_for(const ChatRequest& request, const std::string& key) {
  return request.schema.at("properties").contains(key);
}
const std::string& told(const ChatRequest& request) { return request.messages.at(1).content; }
bool is_second_time(const ChatRequest& request) { return request.messages.size() > 2; }

Result<ChatReply> answer_of(const std::string& key, const std::string& text) {
  Json answer;
  answer[key] = text;
  return ChatReply{.text = dump_json(answer)};
}
Result<ChatReply> is_down() { return Error{ErrorCode::kUnavailable, "503: down"}; }

// Critiques are "critique 0", "critique 1"... in the order in which they are asked for; what
// becomes of the number of a critique is the script's.
ScriptedClient numbered(const std::function<Result<ChatReply>(size_t, const ChatRequest&)>& write) {
  return ScriptedClient([write, critiques = size_t{0}](const ChatRequest& request) mutable {
    if (asks_for(request, "critique")) {
      return answer_of("critique", "critique " + std::to_string(critiques++));
    }
    const std::string& text = told(request);
    return write(std::stoul(text.substr(text.find("critique ") + 9)), request);
  });
}

TEST(LlmPromptWriter, CritiquesAndThenRewrites) {
  auto client = numbered([](size_t critique, const ChatRequest&) {
    return answer_of("prompt", "prompt " + std::to_string(critique));
  });
  PromptWriterOptions options;
  options.temperature = 0.9;
  options.max_answer_tokens = 777;
  EXPECT_THAT(writer_of(client, options).rewrite("the old one", mistakes(3), 2, 1).prompts,
              ElementsAre("prompt 0", "prompt 1"));
  ASSERT_EQ(client.requests.size(), 4u);
  for (size_t i = 0; i < 4; ++i) {
    const ChatRequest& request = client.requests[i];
    EXPECT_TRUE(asks_for(request, i < 2 ? "critique" : "prompt"));
    EXPECT_THAT(told(request), HasSubstr("the old one"));
    EXPECT_EQ(request.temperature, 0.9);
    EXPECT_EQ(request.max_tokens, 777);
  }
  for (const char* line : {"<0: said 0>\n", "<1: said 1>\n", "<2: said 2>\n"}) {
    EXPECT_THAT(told(client.requests[0]), HasSubstr(line));
  }
  // Independent answers, even to the same words.
  EXPECT_NE(client.requests[0].sample, client.requests[1].sample);
  EXPECT_NE(client.requests[2].sample, client.requests[3].sample);
}

TEST(LlmPromptWriter, SaysWhatIsRefusedTwiceAndKeepsWhatIsMended) {
  auto client = numbered([](size_t critique, const ChatRequest& request) {
    if (critique == 0) return answer_of("prompt", is_second_time(request) ? "bad again" : "bad");
    if (critique == 1 && !is_second_time(request)) return answer_of("prompt", "bad");
    return answer_of("prompt", critique == 1 ? "mended" : "fine");
  });
  const auto rewriting = writer_of(client).rewrite("old", mistakes(3), 3, 1);
  EXPECT_THAT(rewriting.prompts, ElementsAre("mended", "fine"));
  ASSERT_EQ(rewriting.refused.size(), 1u);
  EXPECT_EQ(rewriting.refused[0].prompt, "bad again");
  EXPECT_EQ(rewriting.refused[0].reason, "it lacks {open}");
  EXPECT_EQ(client.requests.size(), 3u + 3u + 2u);
  for (size_t i = 6; i < 8; ++i) {
    EXPECT_THAT(client.requests.at(i).messages.back().content, HasSubstr("it lacks {open}"));
  }
}

TEST(LlmPromptWriter, KeepsTheBeginningOfALongTextThatIsRefused) {
  const std::string text = "bad " + std::string(3 << 20, 'x');
  auto client = numbered([&](size_t critique, const ChatRequest&) {
    return answer_of("prompt", critique == 0 ? text : "fine");
  });
  const auto refused = writer_of(client).rewrite("old", mistakes(3), 2, 1).refused;
  ASSERT_EQ(refused.size(), 1u);
  EXPECT_LE(refused[0].prompt.size(), (16u << 10) + 3);
  EXPECT_EQ(refused[0].prompt.substr(0, 1000), text.substr(0, 1000));
}

TEST(LlmPromptWriter, LeavesOutWhatFailsAndNothingElse) {
  for (size_t failing = 0; failing < 3; ++failing) {
    for (const char* step : {"critique", "prompt"}) {
      for (const bool is_rubbish : {false, true}) {
        const auto fails = [&] {
          return is_rubbish ? Result<ChatReply>(ChatReply{.text = "I am sorry"}) : is_down();
        };
        size_t critiques = 0;
        ScriptedClient client([&](const ChatRequest& request) -> Result<ChatReply> {
          if (!asks_for(request, "critique")) {
            const bool is_failing =
                told(request).find("critique " + std::to_string(failing)) != std::string::npos;
            return is_failing && step == std::string("prompt") ? fails()
                                                               : answer_of("prompt", "new");
          }
          if (is_second_time(request)) return fails();
          const size_t number = critiques++;
          if (number == failing && step == std::string("critique")) return fails();
          return answer_of("critique", "critique " + std::to_string(number));
        });
        EXPECT_THAT(writer_of(client).rewrite("old", mistakes(3), 3, 1).prompts,
                    ElementsAre("new", "new"))
            << failing << " " << step << " " << is_rubbish;
      }
    }
  }
}

TEST(LlmPromptWriter, ProposesNoPromptThatIsTheOldOne) {
  auto client = numbered([](size_t critique, const ChatRequest&) {
    return answer_of("prompt", critique == 1 ? "new" : "old");
  });
  EXPECT_THAT(writer_of(client).rewrite("old", mistakes(3), 3, 1).prompts, ElementsAre("new"));
}

// All that is asked in some rounds of two candidates each, with 40 mistakes to draw from.
std::vector<std::string> asked_in(const std::vector<size_t>& rounds, uint64_t seed) {
  auto client =
      numbered([](size_t, const ChatRequest&) { return answer_of("prompt", "the new prompt"); });
  auto writer = writer_of(client, {}, seed);
  std::vector<std::string> asked;
  for (const size_t round : rounds) {
    client.requests.clear();
    writer.rewrite("old", mistakes(40), 2, round);
    asked.clear();
    for (const ChatRequest& request : client.requests) {
      if (asks_for(request, "critique")) {
        asked.push_back(std::to_string(request.sample) + " " + told(request));
      }
    }
  }
  return asked;  // of the last round
}

// The mistakes that a request shows.
std::set<std::string> shown_in(const std::string& request) {
  std::set<std::string> cases;
  std::istringstream lines(request);
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("<")) cases.insert(line);
  }
  return cases;
}

TEST(LlmPromptWriter, DrawsOtherCasesForEachRoundAndCandidate) {
  std::set<std::set<std::string>> drawn;
  for (size_t round = 1; round <= 5; ++round) {
    for (const std::string& request : asked_in({round}, 1)) {
      drawn.insert(shown_in(request));
      EXPECT_EQ(shown_in(request).size(), 6u);
    }
  }
  EXPECT_EQ(drawn.size(), 10u);
}

TEST(LlmPromptWriter, AsksTheSameForTheSameSeedWhateverWasAskedBefore) {
  EXPECT_EQ(asked_in({3}, 1), asked_in({3}, 1));
  EXPECT_EQ(asked_in({1, 2, 3}, 1), asked_in({3}, 1));
  EXPECT_NE(asked_in({3}, 1), asked_in({3}, 2));
  EXPECT_NE(asked_in({2}, 1), asked_in({3}, 1));
}

TEST(LlmPromptWriter, TakesBackNothingThatIsNeededAndAsksNobody) {
  ScriptedClient client([](const ChatRequest&) { return is_down(); });
  EXPECT_THAT(writer_of(client).take_back_one("Old. New. Newer.", "Old."),
              ElementsAre("Old. Newer.", "Old. New."));
  EXPECT_THAT(writer_of(client).take_back_one("Good. New.", "This is bad."), ElementsAre());
  EXPECT_THAT(writer_of(client).take_back_one("Good. Old. New.", "This is bad. Old."),
              ElementsAre("Good. Old."));
  EXPECT_TRUE(client.requests.empty());
}

size_t times_in(const std::string& text, const std::string& part) {
  size_t times = 0;
  for (size_t at = text.find(part); at != text.npos; at = text.find(part, at + 1)) ++times;
  return times;
}

TEST(LlmPromptWriter, FillsInNothingThatStandsInTheData) {
  const std::string old = "OLD {mistakes} {critique} {prompt} {open} {error}";
  const std::string critique = "CRITIQUE {prompt} {critique} {error}";
  ScriptedClient client([&](const ChatRequest& request) {
    return asks_for(request, "critique") ? answer_of("critique", critique)
                                         : answer_of("prompt", "bad");
  });
  const std::vector<Mistake> mistake = {{0, {1, "SAID {prompt} {critique} {mistakes}"}}};
  // Nothing is left, which is no answer of "no prompts".
  EXPECT_THAT(failure_of([&] { writer_of(client).rewrite(old, mistake, 1, 1); }),
              HasSubstr("none of 1 prompts that can be used, last: it lacks {open}"));
  ASSERT_EQ(client.requests.size(), 3u);
  const std::string &first = told(client.requests[0]), &second = told(client.requests[1]);
  EXPECT_EQ(times_in(first, old), 1u);
  EXPECT_EQ(times_in(first, "OLD"), 1u);
  EXPECT_EQ(times_in(first, "<0: SAID {prompt} {critique} {mistakes}>"), 1u);
  EXPECT_EQ(times_in(first, "SAID"), 1u);
  EXPECT_EQ(times_in(second, old), 1u);
  EXPECT_EQ(times_in(second, "OLD"), 1u);
  EXPECT_EQ(times_in(second, critique), 1u);
  EXPECT_EQ(times_in(second, "CRITIQUE"), 1u);
}

TEST(LlmPromptWriter, HasItsPromptsInTwoLanguages) {
  for (const char* language : {"en", "zh"}) {
    const auto critique = optimiser("critique", LlmPromptWriter::critique_places(), language);
    const auto rewrite = optimiser("rewrite", LlmPromptWriter::rewrite_places(), language);
    EXPECT_THAT(critique.messages({{"prompt", "P!"}, {"mistakes", "M!"}}).at(1).content,
                ::testing::AllOf(HasSubstr("P!"), HasSubstr("M!"), HasSubstr("{\"critique\":")));
    EXPECT_THAT(rewrite.messages({{"prompt", "P!"}, {"critique", "C!"}}).at(1).content,
                ::testing::AllOf(HasSubstr("P!"), HasSubstr("C!"), HasSubstr("{\"prompt\":")));
  }
}

}  // namespace
}  // namespace l2a
