#include "llm/json_answer.h"

#include <deque>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace l2a {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

const std::string kCorrection = "That is not what was asked for ({error}). Once more.";

ChatReply says(const std::string& text) { return {.text = text}; }

ChatRequest question(const std::string& text = "How many?") {
  return {.messages = {{"system", "Answer in JSON."}, {"user", text}},
          .temperature = 0.5,
          .max_tokens = 50,
          .schema = {{"type", "object"}},
          .sample = 2};
}

// Gives its answers one after the other, whatever it is asked.
class ScriptedClient final : public ChatClient {
 public:
  explicit ScriptedClient(std::vector<Result<ChatReply>> script) : script_(std::move(script)) {}
  std::string name() const override { return "a script"; }
  void submit(ChatRequest request, OnReply on_reply) override {
    queue_.emplace_back(std::move(request), std::move(on_reply));
  }
  void run() override {
    while (!queue_.empty()) {
      const auto [request, on_reply] = std::move(queue_.front());
      queue_.pop_front();
      asked.push_back(request);
      if (asked.size() <= script_.size()) {
        on_reply(script_[asked.size() - 1]);
      } else {
        on_reply(Error{ErrorCode::kUnavailable, "the script is at its end"});
      }
    }
  }

  std::vector<ChatRequest> asked;

 private:
  std::vector<Result<ChatReply>> script_;
  std::deque<std::pair<ChatRequest, OnReply>> queue_;
};

// {"n": 3} is 3; a negative one is refused.
Result<int64_t> read_count(const Json& answer) {
  const auto count = get_number(answer, "n");
  if (!count) return count.error();
  if (*count < 0) return Error{ErrorCode::kInvalidInput, "n is below nothing"};
  return static_cast<int64_t>(*count);
}

std::vector<Result<int64_t>> ask_count(ScriptedClient& client) {
  std::vector<Result<int64_t>> values;
  ask_json<int64_t>(client, question(), kCorrection, read_count,
                    [&values](Result<int64_t> value) { values.push_back(std::move(value)); });
  EXPECT_TRUE(client.asked.empty());  // nothing before run()
  client.run();
  return values;
}

TEST(ReadJsonAnswer, ReadsAnObjectAndLeavesOutWhatModelsPutAroundIt) {
  for (const char* text :
       {R"({"a":1})", " \r\n\t{\"a\":1}\n\n", "\u3000{\"a\": 1}\u00a0", "{\n  \"a\": 1\n}",
        "```json\n{\"a\":1}\n```", "```\n{\"a\":1}\n```\n", "\n```JSON\r\n{\"a\":1}\r\n```",
        "```json\n{\n  \"a\": 1\n}```", "<think>Is it {\"a\":2}? No.</think>{\"a\":1}",
        "<think>\nhm\n\n</think>\n\n{\"a\":1}", "<think></think>\n```json\n{\"a\":1}\n```",
        "\n<think>```json\n{\"a\":2}\n```</think> {\"a\":1} "}) {
    const auto json = read_json_answer(says(text));
    ASSERT_TRUE(json) << text << ": " << json.error().message;
    EXPECT_EQ(dump_json(*json), R"({"a":1})") << text;
  }
}

TEST(ReadJsonAnswer, LeavesFencesAndTagsInsideOfStringsAlone) {
  for (const std::string& object :
       {std::string(R"({"a":"```"})"), std::string(R"({"a":"```json\n{}\n```"})"),
        std::string(R"({"a":"<think>x</think>"})"), std::string(R"({"a":"</think>"})")}) {
    for (const std::string& text :
         {object, "```json\n" + object + "\n```", "<think>hm</think>" + object}) {
      const auto json = read_json_answer(says(text));
      ASSERT_TRUE(json) << text << ": " << json.error().message;
      EXPECT_EQ(dump_json(*json), object) << text;
    }
  }
}

TEST(ReadJsonAnswer, RefusesEverythingElse) {
  for (const char* text : {"",
                           " ",
                           "yes",
                           "[1]",
                           R"([{"a":1}])",
                           "1",
                           "null",
                           R"("{}")",
                           R"(Here it is: {"a":1})",
                           R"({"a":1} I hope that helps.)",
                           R"({"a":1}{"a":1})",
                           "{\"a\":1}\n{\"a\":1}",
                           R"({"a":1)",
                           R"({'a':1})",
                           R"({"a":1,})",
                           R"({"a":1,"a":2})",
                           R"({"a":NaN})",
                           "```json\n{\"a\":1}",
                           "{\"a\":1}\n```",
                           "```",
                           "``````",
                           "```\n```",
                           "```json\n{\"a\":1}\n``` Done.",
                           "```json\n[1]\n```",
                           "Sure:\n```json\n{\"a\":1}\n```",
                           "<think>{\"a\":1}",
                           "<think>hm</think>",
                           "<think>hm</think> So: {\"a\":1}"}) {
    const auto json = read_json_answer(says(text));
    ASSERT_FALSE(json) << text;
    EXPECT_FALSE(json.error().message.empty()) << text;
  }
}

TEST(ReadJsonAnswer, RefusesAnAnswerThatWasCut) {
  EXPECT_FALSE(read_json_answer({.text = R"({"a":1})", .truncated = true}));
  EXPECT_FALSE(read_json_answer({.text = "", .truncated = true}));
}

TEST(AskAgain, ShowsTheAnswerAndWhatWasWrongWithIt) {
  const ChatRequest first = question();
  const ChatRequest again =
      ask_again(first, says(R"({"n":-1})"), "n is below nothing", kCorrection);
  ASSERT_EQ(again.messages.size(), 4u);
  for (size_t i = 0; i < 2; ++i) {
    EXPECT_EQ(again.messages[i].role, first.messages[i].role);
    EXPECT_EQ(again.messages[i].content, first.messages[i].content);
  }
  EXPECT_EQ(again.messages[2].role, "assistant");
  EXPECT_EQ(again.messages[2].content, R"({"n":-1})");
  EXPECT_EQ(again.messages[3].role, "user");
  EXPECT_EQ(again.messages[3].content,
            "That is not what was asked for (n is below nothing). Once more.");
  EXPECT_EQ(again.temperature, first.temperature);
  EXPECT_EQ(again.max_tokens, first.max_tokens);
  EXPECT_EQ(again.schema, first.schema);
  EXPECT_EQ(again.sample, first.sample);
}

TEST(AskAgain, TakesAnyCorrection) {
  const auto last_of = [](const std::string& wrong, const std::string& correction) {
    return ask_again(question(), says("x"), wrong, correction).messages.back().content;
  };
  EXPECT_EQ(last_of("wrong", "Once more."), "Once more.");
  EXPECT_EQ(last_of("wrong", "{error}"), "wrong");
  EXPECT_EQ(last_of("", "It is: {error}!"), "It is: !");
  EXPECT_EQ(last_of("{error}", "It is: {error}!"), "It is: {error}!");
}

TEST(AskJson, AsksOnceWhereTheAnswerIsGood) {
  ScriptedClient client({says(R"({"n":3})")});
  const auto values = ask_count(client);
  ASSERT_EQ(values.size(), 1u);
  ASSERT_TRUE(values[0]);
  EXPECT_EQ(*values[0], 3);
  ASSERT_EQ(client.asked.size(), 1u);
  EXPECT_EQ(client.asked[0].messages.size(), question().messages.size());
  EXPECT_EQ(client.asked[0].schema, question().schema);
}

TEST(AskJson, AsksOnceMoreWhereItIsNot) {
  ChatReply cut = says(R"({"n":3})");
  cut.truncated = true;
  // What is wrong with each: the value, the object's shape, the text, its end.
  const struct {
    ChatReply bad;
    std::string error;
  } table[] = {{says(R"({"n":-1})"), "n is below nothing"},
               {says(R"({"m":1})"), "'n': missing"},
               {says("three"), "not JSON"},
               {cut, "cut"}};
  for (const auto& row : table) {
    ScriptedClient client({row.bad, says(R"({"n":4})")});
    const auto values = ask_count(client);
    ASSERT_EQ(values.size(), 1u);
    ASSERT_TRUE(values[0]) << row.error;
    EXPECT_EQ(*values[0], 4);
    ASSERT_EQ(client.asked.size(), 2u);
    const std::vector<ChatMessage>& second = client.asked[1].messages;
    ASSERT_EQ(second.size(), 4u);
    EXPECT_EQ(second[1].content, question().messages[1].content);
    EXPECT_THAT(second[2].content, HasSubstr(row.bad.text));
    EXPECT_THAT(second[3].content, HasSubstr(row.error));
    EXPECT_THAT(second[3].content, Not(HasSubstr("{error}")));
  }
}

TEST(AskJson, GivesUpAfterTheSecondBadAnswer) {
  ScriptedClient client({says("three"), says(R"({"n":-1})"), says(R"({"n":3})")});
  const auto values = ask_count(client);
  ASSERT_EQ(values.size(), 1u);
  ASSERT_FALSE(values[0]);
  EXPECT_EQ(values[0].error().message, R"(n is below nothing; the answer: "{"n":-1}")");
  EXPECT_EQ(client.asked.size(), 2u);
}

TEST(WithAnswer, ShowsItsBeginningAndNothingThatATerminalWouldTakeForACommand) {
  const Error wrong{ErrorCode::kInvalidInput, "no JSON"};
  const Error error = with_answer(wrong, says("\x1b[2J" + std::string(10'000, 'x')));
  EXPECT_EQ(error.code, wrong.code);
  EXPECT_THAT(error.message, StartsWith("no JSON; the answer: \""));
  EXPECT_THAT(error.message, Not(HasSubstr("\x1b")));
  EXPECT_LT(error.message.size(), 400u);
}

TEST(AskJson, PassesTheErrorOfACallOn) {
  const Error down{ErrorCode::kTimeout, "no answer"};
  ScriptedClient at_once({down, says(R"({"n":3})")});
  ScriptedClient later({says("three"), down, says(R"({"n":3})")});
  for (ScriptedClient* client : {&at_once, &later}) {
    const auto values = ask_count(*client);
    ASSERT_EQ(values.size(), 1u);
    ASSERT_FALSE(values[0]);
    EXPECT_EQ(values[0].error().code, ErrorCode::kTimeout);
    EXPECT_EQ(values[0].error().message, "no answer");
  }
  EXPECT_EQ(at_once.asked.size(), 1u);
  EXPECT_EQ(later.asked.size(), 2u);
}

// A call that an endpoint refused is no wrong answer, and cannot be mistaken for one.
TEST(AskJson, GivesAWrongAnswerAnotherCodeThanNone) {
  for (const ErrorCode code : {ErrorCode::kInvalidInput, ErrorCode::kNotFound, ErrorCode::kTimeout,
                               ErrorCode::kUnavailable}) {
    const Error refused{code, "404: no such path"};
    ScriptedClient at_once({refused}), later({says("three"), refused});
    for (ScriptedClient* client : {&at_once, &later}) {
      const auto value = ask_count(*client).at(0);
      ASSERT_FALSE(value);
      EXPECT_NE(value.error().code, ErrorCode::kInvalidInput);
      EXPECT_EQ(value.error().message, refused.message);
    }
  }
  ScriptedClient talkative({says("three"), says("four")});
  ScriptedClient refused({Error{ErrorCode::kInvalidInput, "404: no such path"}});
  ScriptedClient down({Error{ErrorCode::kTimeout, "no answer"}});
  EXPECT_EQ(ask_count(talkative).at(0).error().code, ErrorCode::kInvalidInput);
  EXPECT_EQ(gravity_of(Error{ErrorCode::kInvalidInput, "not JSON"}), 0);
  EXPECT_EQ(gravity_of(ask_count(refused).at(0).error()), 1);
  EXPECT_EQ(gravity_of(ask_count(down).at(0).error()), 2);
}

// Each in flight beside the others; what comes of one may be a reason to ask for another.
TEST(AskJson, KeepsQuestionsApart) {
  constexpr size_t kQuestions = 50;
  std::vector<Result<ChatReply>> script;  // every third is asked again, after all the others
  for (size_t i = 0; i < kQuestions; ++i) {
    script.push_back(
        says(i % 3 == 0 ? "bad " + std::to_string(i) : "{\"n\":" + std::to_string(i) + "}"));
  }
  for (size_t i = 0; i < kQuestions; i += 3) {
    script.push_back(says("{\"n\":" + std::to_string(i) + "}"));
  }
  script.push_back(says(R"({"n":1000})"));
  ScriptedClient client(std::move(script));

  std::vector<std::vector<int64_t>> values(kQuestions + 1);
  const auto take_as = [&values](size_t i) {
    return [&values, i](Result<int64_t> value) { values[i].push_back(value ? *value : -1); };
  };
  for (size_t i = 0; i + 1 < kQuestions; ++i) {
    ask_json<int64_t>(client, question(std::to_string(i)), kCorrection, read_count, take_as(i));
  }
  // The last one asks another when it has its value.
  constexpr size_t kLast = kQuestions - 1;
  ask_json<int64_t>(
      client, question(std::to_string(kLast)), kCorrection, read_count, [&](Result<int64_t> value) {
        take_as(kLast)(std::move(value));
        ask_json<int64_t>(client, question("more"), kCorrection, read_count, take_as(kQuestions));
      });
  client.run();

  for (size_t i = 0; i < kQuestions; ++i) {
    EXPECT_EQ(values[i], std::vector<int64_t>{static_cast<int64_t>(i)}) << i;
  }
  EXPECT_EQ(values[kQuestions], std::vector<int64_t>{1000});
  size_t asked_again = 0;
  for (const ChatRequest& request : client.asked) {
    if (request.messages.size() == 2) continue;
    ++asked_again;
    EXPECT_EQ(request.messages[2].content, "bad " + request.messages[1].content);
  }
  EXPECT_EQ(asked_again, 17u);
}

}  // namespace
}  // namespace l2a
