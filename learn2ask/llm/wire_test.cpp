#include "llm/wire.h"

#include <algorithm>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/utf8.h"

namespace l2a {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

LlmOptions options_of_judge() {
  LlmOptions options;
  options.model = "judge-7b";
  return options;
}

ChatRequest question() {
  return {.messages = {{"system", "Be strict."}, {"user", "Is 2 > 1?"}},
          .temperature = 0.25,
          .max_tokens = 77,
          .schema = {},
          .sample = 3};
}

Json schema() { return {{"type", "object"}, {"properties", {{"score", {{"type", "integer"}}}}}}; }

Json body_of(const ChatRequest& request, const LlmOptions& options) {
  return parse_json(request_body(request, options)).value_or_throw();
}

// The body of an answer with these for its first choice and its usage.
std::string answer(const std::string& choice, const std::string& usage = "null") {
  return R"({"id": "c1", "object": "chat.completion", "choices": [)" + choice + R"(], "usage": )" +
         usage + "}";
}

std::string choice_of(const std::string& content, const std::string& finish = R"("stop")") {
  return R"({"index": 0, "message": {"role": "assistant", "content": )" + content +
         R"(}, "finish_reason": )" + finish + "}";
}

const std::string kWhole =
    answer(choice_of(R"("He said \"yes\" {\u00e9}\n")"),
           R"({"prompt_tokens": 12, "completion_tokens": 3, "total_tokens": 15})");

TEST(RequestBody, SaysWhatIsAskedOfWhom) {
  const Json body = body_of(question(), options_of_judge());
  EXPECT_EQ(body.at("model"), "judge-7b");
  EXPECT_EQ(body.at("temperature"), 0.25);
  ASSERT_EQ(body.at("messages").size(), 2u);
  EXPECT_EQ(body.at("messages")[0].at("role"), "system");
  EXPECT_EQ(body.at("messages")[0].at("content"), "Be strict.");
  EXPECT_EQ(body.at("messages")[1].at("role"), "user");
  EXPECT_EQ(body.at("messages")[1].at("content"), "Is 2 > 1?");
  EXPECT_FALSE(body.contains("stream"));
}

TEST(RequestBody, KeepsWhatTheUserWrote) {
  for (const std::string& text :
       {std::string("\"quoted\" \\ and / {\"role\": \"system\"}"), std::string("two\nlines\r\n\t."),
        std::string("\u4f60\u597d \u00e9 \U0001F600"), std::string("\x01\x1f\x7f"), std::string(),
        std::string(1 << 20, 'x')}) {
    ChatRequest request = question();
    request.messages[1].content = text;
    const Json body = body_of(request, options_of_judge());
    ASSERT_EQ(body.at("messages").size(), 2u);
    EXPECT_EQ(body.at("messages")[1].at("content").get<std::string>(), text);
  }
}

TEST(RequestBody, NamesTheLimitAsTheEndpointDoes) {
  LlmOptions options = options_of_judge();
  for (const bool newer : {false, true}) {
    options.max_tokens_key = newer ? "max_completion_tokens" : "max_tokens";
    const Json body = body_of(question(), options);
    EXPECT_EQ(body.at(options.max_tokens_key), 77);
    EXPECT_FALSE(body.contains(newer ? "max_tokens" : "max_completion_tokens"));
  }
}

TEST(RequestBody, SendsTheSampleAsASeedOnlyWhereThatIsWanted) {
  LlmOptions options = options_of_judge();
  ChatRequest another = question();
  another.sample = 4;
  EXPECT_EQ(body_of(question(), options).at("seed"), 3);
  EXPECT_EQ(body_of(another, options).at("seed"), 4);
  options.send_seed = false;
  EXPECT_FALSE(body_of(question(), options).contains("seed"));
  EXPECT_EQ(request_body(question(), options), request_body(another, options));
}

TEST(RequestBody, SendsTheTemperatureOnlyWhereThatIsWanted) {
  LlmOptions options = options_of_judge();
  EXPECT_EQ(body_of(question(), options).at("temperature"), question().temperature);
  options.send_temperature = false;
  EXPECT_FALSE(body_of(question(), options).contains("temperature"));
}

// Messages of public servers, shortened.
TEST(SettingToChange, IsThatOfTheKeyThatIsRefused) {
  const struct {
    const char* error;
    const char* setting;
  } cases[] = {
      {"'response_format.type' : value must be 'text'", "llm.response_format="},
      {"Invalid parameter: json_schema is not supported by this model", "llm.response_format="},
      {"Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead.",
       "llm.max_tokens_key=max_completion_tokens"},
      {"Unsupported value: 'temperature' does not support 0", "llm.send_temperature=false"},
      {"seed: Extra inputs are not permitted", "llm.send_seed=false"},
  };
  for (const auto& c : cases) EXPECT_THAT(setting_to_change(c.error, {}), HasSubstr(c.setting));
  LlmOptions changed;
  changed.response_format = "none";
  changed.max_tokens_key = "max_completion_tokens";
  changed.send_temperature = changed.send_seed = false;
  for (const auto& c : cases) EXPECT_EQ(setting_to_change(c.error, changed), "") << c.error;
  for (const char* error :
       {"too many tokens", "the body temperature is 39",
        "'max_tokens' or 'max_completion_tokens' is too large: 4096. This model has 2048"}) {
    EXPECT_EQ(setting_to_change(error, {}), "") << error;
  }
}

TEST(RequestBody, AsksForJsonAsTheEndpointUnderstandsIt) {
  ChatRequest request = question();
  request.schema = schema();
  LlmOptions options = options_of_judge();
  options.response_format = "json_schema";
  const Json by_schema = body_of(request, options).at("response_format");
  EXPECT_EQ(by_schema.at("type"), "json_schema");
  EXPECT_EQ(by_schema.at("json_schema").at("schema"), schema());
  EXPECT_TRUE(by_schema.at("json_schema").at("name").is_string());  // the protocol requires one
  options.response_format = "json_object";
  EXPECT_EQ(dump_json(body_of(request, options).at("response_format")),
            R"({"type":"json_object"})");
  options.response_format = "none";
  EXPECT_FALSE(body_of(request, options).contains("response_format"));
}

TEST(RequestBody, AsksForNoJsonWhereThereIsNoSchema) {
  LlmOptions options = options_of_judge();
  for (const char* format : {"json_schema", "json_object", "none"}) {
    options.response_format = format;
    EXPECT_FALSE(body_of(question(), options).contains("response_format")) << format;
  }
}

TEST(RequestBody, IsEqualForEqualRequestsAndNoOthers) {
  const LlmOptions options = options_of_judge();
  const std::string body = request_body(question(), options);
  EXPECT_EQ(body, request_body(question(), options));
  std::vector<ChatRequest> others(6, question());
  others[0].messages[0].role = "user";
  others[1].messages[1].content += " ";
  others[2].messages.pop_back();
  others[3].temperature = 0.5;
  others[4].max_tokens = 78;
  others[5].schema = schema();
  for (size_t i = 0; i < others.size(); ++i) {
    EXPECT_NE(body, request_body(others[i], options)) << i;
  }
  LlmOptions another_model = options;
  another_model.model = "judge-8b";
  EXPECT_NE(body, request_body(question(), another_model));
}

TEST(ReadReply, ReadsAWholeAnswer) {
  for (const std::string& body : {kWhole, kWhole + "\n", "\r\n " + kWhole}) {
    const auto reply = read_reply(body);
    ASSERT_TRUE(reply) << reply.error().message;
    EXPECT_EQ(reply->text, "He said \"yes\" {\u00e9}\n");
    EXPECT_FALSE(reply->truncated);
    ASSERT_TRUE(reply->usage);
    EXPECT_EQ(reply->usage->prompt, 12);
    EXPECT_EQ(reply->usage->completion, 3);
  }
}

TEST(ReadReply, TakesTheFirstChoice) {
  const auto reply = read_reply(answer(choice_of(R"("one")") + ", " + choice_of(R"("two")")));
  ASSERT_TRUE(reply);
  EXPECT_EQ(reply->text, "one");
}

TEST(ReadReply, NeedsNoMoreThanTheText) {
  for (const char* body : {R"({"choices": [{"message": {"content": "x"}}]})",
                           R"({"choices": [{"message": {"content": "x"}, "finish_reason": null}]})",
                           R"({"choices": [{"message": {"content": "x"}, "finish_reason": 7}]})"}) {
    const auto reply = read_reply(body);
    ASSERT_TRUE(reply) << body;
    EXPECT_EQ(reply->text, "x");
    EXPECT_FALSE(reply->truncated);
    EXPECT_FALSE(reply->usage);
  }
}

// What a model declines to say under a schema, it says there.
TEST(ReadReply, TakesARefusalForWhatWasSaid) {
  const auto reply = read_reply(
      R"({"choices": [{"message": {"content": null, "refusal": "I cannot"}, "finish_reason": "stop"}]})");
  ASSERT_TRUE(reply);
  EXPECT_EQ(reply->text, "I cannot");
  EXPECT_FALSE(read_reply(R"({"choices": [{"message": {"content": null, "refusal": null}}]})"));
}

TEST(ReadReply, TakesNoCountThatIsNone) {
  for (const char* usage :
       {"null", "[]", "7", R"("none")", "{}", R"({"prompt_tokens": 12})",
        R"({"completion_tokens": 3})", R"({"prompt_tokens": -1, "completion_tokens": 3})",
        R"({"prompt_tokens": 12, "completion_tokens": -3})",
        R"({"prompt_tokens": 12.5, "completion_tokens": 3})",
        R"({"prompt_tokens": 12, "completion_tokens": 1e300})",
        R"({"prompt_tokens": 12, "completion_tokens": 9223372036854775807})",
        R"({"prompt_tokens": 12, "completion_tokens": 18446744073709551615})",
        R"({"prompt_tokens": 12, "completion_tokens": 99999999999999999999999})",
        R"({"prompt_tokens": "12", "completion_tokens": 3})",
        R"({"prompt_tokens": null, "completion_tokens": 3})"}) {
    const auto reply = read_reply(answer(choice_of(R"("x")"), usage));
    ASSERT_TRUE(reply) << usage;
    EXPECT_EQ(reply->text, "x");
    EXPECT_FALSE(reply->usage) << usage;
  }
  const auto zero =
      read_reply(answer(choice_of(R"("x")"), R"({"prompt_tokens": 0, "completion_tokens": 0})"));
  ASSERT_TRUE(zero);
  ASSERT_TRUE(zero->usage);
  EXPECT_EQ(zero->usage->prompt + zero->usage->completion, 0);
}

TEST(ReadReply, SaysWhenTheAnswerWasCut) {
  const auto cut = read_reply(answer(choice_of(R"("so far")", R"("length")")));
  ASSERT_TRUE(cut);
  EXPECT_TRUE(cut->truncated);
  EXPECT_EQ(cut->text, "so far");
  // A model that was still thinking.
  const auto nothing = read_reply(answer(choice_of("null", R"("length")")));
  ASSERT_TRUE(nothing);
  EXPECT_TRUE(nothing->truncated);
  EXPECT_EQ(nothing->text, "");
}

TEST(ReadReply, RefusesWhatIsNoAnswer) {
  const std::string deep(1000, '[');
  for (const std::string& body : {std::string(),
                                  std::string("upstream connect error"),
                                  std::string("<html>502</html>"),
                                  std::string("null"),
                                  std::string("[]"),
                                  std::string("\"text\""),
                                  std::string("{}"),
                                  kWhole + kWhole,
                                  kWhole + "x",
                                  kWhole + "\n" + kWhole,
                                  "data: " + kWhole,
                                  deep,
                                  std::string(R"({"error": {"message": "model overloaded"}})"),
                                  std::string(R"({"choices": null})"),
                                  std::string(R"({"choices": {}})"),
                                  std::string(R"({"choices": []})"),
                                  std::string(R"({"choices": "none"})"),
                                  answer("7"),
                                  answer("null"),
                                  answer("[]"),
                                  answer("{}"),
                                  answer(R"({"message": null})"),
                                  answer(R"({"message": "text"})"),
                                  answer(R"({"message": {}})"),
                                  answer(choice_of("null")),
                                  answer(choice_of("7")),
                                  answer(choice_of("NaN")),
                                  answer(choice_of("[]")),
                                  answer(choice_of(R"({"type": "text"})")),
                                  answer(choice_of(R"("x")"), "NaN"),
                                  answer(choice_of("\"\xff\"")),
                                  answer(choice_of(R"("\u0000")")),
                                  answer(choice_of(R"("a", "content": "b")"))}) {
    const auto reply = read_reply(body);
    ASSERT_FALSE(reply) << body;
    EXPECT_EQ(reply.error().code, ErrorCode::kInvalidInput) << body;
    EXPECT_FALSE(reply.error().message.empty()) << body;
  }
}

TEST(ReadReply, TakesNoBeginningForTheWhole) {
  for (size_t size = 0; size < kWhole.size(); ++size) {
    EXPECT_FALSE(read_reply(std::string_view(kWhole).substr(0, size))) << size;
  }
  EXPECT_TRUE(read_reply(kWhole));
}

TEST(ReadReply, QuotesWhatCameInsteadOnOneShortLine) {
  EXPECT_THAT(read_reply("upstream connect error").error().message,
              HasSubstr("upstream connect error"));
  EXPECT_THAT(read_reply(R"({"error": {"message": "model overloaded"}})").error().message,
              HasSubstr("model overloaded"));
  const std::string line = read_reply("a\nb\n" + std::string(1 << 20, 'x')).error().message;
  EXPECT_LT(line.size(), 600u);
  EXPECT_EQ(line.find('\n'), line.npos);
}

TEST(ErrorText, IsWhatTheEndpointSays) {
  EXPECT_EQ(error_text(R"({"error": {"message": "no such model", "type": "x", "code": 404}})"),
            "no such model");
  EXPECT_EQ(error_text(R"({"error": "no such model"})"), "no such model");
  EXPECT_EQ(error_text("not found"), "not found");
}

TEST(ErrorText, OfAnotherShapeIsTheStartOfTheBody) {
  for (const char* body :
       {R"({"error": {"code": 404}})", R"({"error": null})", R"({"detail": "x"})", R"(["error"])",
        R"({"error": {"message": 7}})", R"({"error": "x)"}) {
    EXPECT_EQ(error_text(body), body);
  }
  EXPECT_THAT(error_text("<html>\n<b>502</b>\r\n</html>"), StartsWith("<html>"));
  EXPECT_THAT(error_text("<html>\n<b>502</b>\r\n</html>"), HasSubstr("<b>502</b>"));
  EXPECT_FALSE(error_text("").empty());
}

TEST(ErrorText, IsOneShortLineThatMayBeShown) {
  const std::string long_text(100'000, 'x');
  for (const std::string& body : {std::string("\x1b[31mred\x07 \x7f"), std::string("a\nb\r\nc\td"),
                                  std::string("bad \xff\xfe \xe4\xbd"), std::string("a\0b", 3),
                                  std::string(R"({"error": {"message": "\u001b[2Ja\nb"}})"),
                                  long_text, "{\"error\": {\"message\": \"" + long_text + "\"}}",
                                  "{\"error\": {\"message\": \"" + long_text,
                                  std::string(1000, '\xff'), std::string(999, ' ') + "\u4f60"}) {
    const std::string text = error_text(body);
    EXPECT_LE(text.size(), 400u);
    EXPECT_FALSE(find_bad_utf8(text)) << text;
    EXPECT_TRUE(std::all_of(text.begin(), text.end(), [](char c) {
      const auto byte = static_cast<unsigned char>(c);
      return byte >= 0x20 && byte != 0x7f;
    })) << text;
  }
  EXPECT_THAT(error_text(long_text), StartsWith(std::string(100, 'x')));
  EXPECT_THAT(error_text("a\nb \x1b[31m \xff"), StartsWith("a b "));
}

TEST(AllErrorTexts, AreThoseOfAnyFormAndLength) {
  const std::string filler(1000, 'x');
  for (const std::string& body : std::vector<std::string>{
           "Sorry: no quota", R"({"error": {"message": "Try later", "type": "no quota"}})",
           R"({"error": "no quota"})", R"({"base_resp": {"status_msg": "no quota"}})",
           R"({"errors": [{"code": 1, "detail": "no quota"}]})",
           R"({"error": {"message": ")" + filler + R"( no quota"}})", filler + "no quota"}) {
    EXPECT_THAT(all_error_texts(body), HasSubstr("no quota")) << body;
  }
}

TEST(AllErrorTexts, AreNoneOfTheConversation) {
  for (const char* body :
       {R"({"detail": [{"msg": "too long", "input": {"messages": [{"content": "no quota"}]}}]})",
        R"({"choices": [{"message": {"content": "no quota"}}]})",
        R"({"choices": [{"message": {"content": "no quota)",
        R"({"error": {"message": "bad request", "prompt": "no quota"}})"}) {
    EXPECT_THAT(all_error_texts(body), ::testing::Not(HasSubstr("no quota"))) << body;
  }
}

}  // namespace
}  // namespace l2a
