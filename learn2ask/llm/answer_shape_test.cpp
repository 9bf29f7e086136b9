#include "llm/answer_shape.h"

#include <gtest/gtest.h>

#include "base/rng.h"
#include "base/testing.h"

namespace l2a {
namespace {

Json schema(const std::string& text) { return parse_json(text).value_or_throw(); }

const char* const kVerdict = R"({"type": "object", "properties": {"reason": {"type": "string"},
    "content": {"type": "number", "enum": [0, 0.5, 1]}}, "required": ["reason", "content"]})";
const char* const kAnswers = R"({"type": "object", "properties": {"answers": {"type": "array",
    "items": {"type": "object", "properties": {"message": {"type": "integer"},
    "unknown": {"type": "boolean"}}, "required": ["message", "unknown"]}}},
    "required": ["answers"]})";

bool is_answer(const AnswerShape& shape, const std::string& text) {
  return shape.is_whole(shape.after(shape.begin(), text));
}
bool may_begin(const AnswerShape& shape, const std::string& text) {
  return !shape.after(shape.begin(), text).empty();
}

TEST(AnswerShape, TakesWhatKeepsToTheSchema) {
  const AnswerShape verdict(schema(kVerdict)), answers(schema(kAnswers));
  for (const char* text : {R"({"reason": "", "content": 0})", R"({"reason": "so", "content": 0.5})",
                           R"({"reason": "a \"b\" \\ \n 岁", "content": 1})"}) {
    EXPECT_TRUE(is_answer(verdict, text)) << text;
  }
  for (const char* text :
       {R"({"answers": []})", R"({"answers": [{"message": 0, "unknown": true}]})",
        R"({"answers": [{"message": 12, "unknown": false}, {"message": -3, "unknown": true}]})"}) {
    EXPECT_TRUE(is_answer(answers, text)) << text;
  }
  EXPECT_TRUE(is_answer(AnswerShape(schema(R"({"type": "integer"})")), "10"));
  EXPECT_TRUE(is_answer(AnswerShape(schema(R"({"type": "object", "properties": {},
      "required": []})")),
                        "{}"));
}

TEST(AnswerShape, RefusesEverythingElse) {
  const AnswerShape verdict(schema(kVerdict)), answers(schema(kAnswers));
  for (const char* text :
       {"", "I am sorry", "{}", R"({"content": 1, "reason": ""})", R"({"reason": "x"})",
        R"({"reason": "x", "content": 7})", R"({"reason": "x", "content": 0.25})",
        R"({"reason": "x", "content": 1, "more": 1})", R"({"reason": "x", "content": 1} )",
        "{\"reason\": \"a\nb\", \"content\": 1}", R"({"reason": "\u0000", "content": 1})",
        R"({"reason": "x, "content": 1})", R"({"reason":"x", "content": 1})"}) {
    EXPECT_FALSE(is_answer(verdict, text)) << text;
  }
  for (const char* text :
       {R"({"answers": [,]})", R"({"answers": [{"message": 01, "unknown": true}]})",
        R"({"answers": [{"message": , "unknown": true}]})",
        R"({"answers": [{"message": 1.5, "unknown": true}]})", R"({"answers": {}})",
        R"({"answers": [{"message": 1234567890123456, "unknown": true}]})",
        R"({"answers": [{"message": 1, "unknown": true},]})"}) {
    EXPECT_FALSE(is_answer(answers, text)) << text;
  }
}

// What goes on by any byte that it allows ends in JSON that has the keys and the types.
TEST(AnswerShape, LeadsToAnAnswerHoweverItIsFollowed) {
  const std::string likely = "{}[]\",: \\0123456789-.abcdefghijklmnopqrstuvwxyz";
  Rng rng(1);
  for (const char* text : {kVerdict, kAnswers}) {
    const AnswerShape shape(schema(text));
    for (int round = 0; round < 300; ++round) {
      std::string said;
      auto place = shape.begin();
      while (!shape.is_whole(place)) {
        std::string allowed;
        for (const char byte : likely) {
          if (!shape.after(place, {&byte, 1}).empty()) allowed += byte;
        }
        ASSERT_FALSE(allowed.empty()) << said;
        said += allowed[rng.below(allowed.size())];
        place = shape.after(std::move(place), {&said.back(), 1});
      }
      const auto json = parse_json(said);
      ASSERT_TRUE(json) << said;
      const Json form = schema(text);
      for (const auto& [key, value] : form["properties"].items()) {
        ASSERT_TRUE(json->contains(key)) << said;
      }
    }
  }
}

TEST(AnswerShape, KnowsWhereAnyTextMayStand) {
  const AnswerShape shape(schema(kVerdict));
  const auto in_text = [&](const std::string& text) {
    return shape.is_in_text(shape.after(shape.begin(), text));
  };
  EXPECT_FALSE(in_text(R"({"reason": )"));
  EXPECT_TRUE(in_text(R"({"reason": ")"));
  EXPECT_TRUE(in_text(R"({"reason": "so)"));
  EXPECT_FALSE(in_text(R"({"reason": "so\)"));
  EXPECT_TRUE(in_text(R"({"reason": "so\")"));
  EXPECT_FALSE(in_text(R"({"reason": "so")"));
  EXPECT_TRUE(may_begin(shape, R"({"reason": "so", "content": 0.)"));
  EXPECT_FALSE(may_begin(shape, R"({"reason": "so", "content": 0.1)"));
}

TEST(AnswerShape, SaysWhichSchemaItDoesNotUnderstand) {
  for (const char* text :
       {R"({"type": "number"})", R"({"type": "null"})", R"({"anyOf": []})",
        R"({"type": "object", "properties": {"a": {"type": "string"}}, "required": []})"}) {
    EXPECT_NE(failure_of([&] { AnswerShape{schema(text)}; }).find("schema: "), std::string::npos);
  }
}

}  // namespace
}  // namespace l2a
