#include "dialogue/action.h"

#include <gtest/gtest.h>

#include "base/json.h"

namespace l2a {
namespace {

constexpr ReplyFormat kFormats[] = {ReplyFormat::kPlain, ReplyFormat::kTuple};

TEST(ParseReply, ReadsPlainReplies) {
  const auto stop = parse_reply({" \n<stop />\u3000"}, ReplyFormat::kPlain);
  ASSERT_TRUE(stop);
  EXPECT_EQ(stop->decision, Decision::kStop);
  EXPECT_EQ(stop->question, "");
  const auto ask = parse_reply({"  How old are you?\n"}, ReplyFormat::kPlain);
  ASSERT_TRUE(ask);
  EXPECT_EQ(ask->decision, Decision::kContinue);
  EXPECT_EQ(ask->question, "How old are you?");
  EXPECT_EQ(parse_reply({"<stop/>"}, ReplyFormat::kPlain)->decision, Decision::kContinue);
}

TEST(ParseReply, ReadsTuples) {
  const auto stop = parse_reply({" {\"state\" : \"stop\"}\n"}, ReplyFormat::kTuple);
  ASSERT_TRUE(stop);
  EXPECT_EQ(stop->decision, Decision::kStop);
  const auto ask = parse_reply({R"({"ask":" Age? ","state":"continue"})"}, ReplyFormat::kTuple);
  ASSERT_TRUE(ask);
  EXPECT_EQ(ask->question, "Age?");
}

TEST(ParseReply, SaysWhyAReplyIsMalformed) {
  const struct {
    ReplyFormat format;
    Reply reply;
    const char* message;
  } cases[] = {
      {kFormats[0], {""}, "reply: malformed: empty"},
      {kFormats[0], {" \n\u3000"}, "reply: malformed: empty"},
      {kFormats[0], {"<stop />", true}, "reply: malformed: cut at the token limit"},
      {kFormats[0], {"Bye <stop />"}, "reply: malformed: stop text beside other text"},
      {kFormats[0], {"<stop /><stop />"}, "reply: malformed: stop text beside other text"},
      {kFormats[0], {"a\xff"}, "reply: malformed: byte 2: invalid UTF-8"},
      {kFormats[1], {""}, "reply: malformed: empty"},
      {kFormats[1], {R"({"state":"stop"})", true}, "reply: malformed: cut at the token limit"},
      {kFormats[1], {"<stop />"}, "reply: malformed: byte 1: not JSON: invalid literal"},
      {kFormats[1], {R"(["stop"])"}, "reply: malformed: expected an object, got an array"},
      {kFormats[1], {"{}"}, "reply: malformed: 'state': missing"},
      {kFormats[1],
       {R"({"state":true})"},
       "reply: malformed: 'state': expected a string, got a boolean"},
      {kFormats[1],
       {R"({"state":"Stop"})"},
       "reply: malformed: 'state': expected continue or stop, got 'Stop'"},
      {kFormats[1], {R"({"state":"stop","ask":""})"}, "reply: malformed: a stop with other keys"},
      {kFormats[1], {R"({"state":"continue"})"}, "reply: malformed: 'ask': missing"},
      {kFormats[1], {R"({"state":"continue","ask":" "})"}, "reply: malformed: 'ask': empty"},
      {kFormats[1],
       {R"({"state":"continue","ask":1})"},
       "reply: malformed: 'ask': expected a string, got a number"},
      {kFormats[1],
       {R"({"state":"continue","ask":"Age?","why":"x"})"},
       "reply: malformed: keys other than 'state' and 'ask'"},
      {kFormats[1],
       {R"({"state":"continue","ask":"<stop />"})"},
       "reply: malformed: stop text beside other text"},
      {kFormats[1],
       {R"({"state":"stop","state":"stop"})"},
       "reply: malformed: byte 23: repeated key 'state'"},
      {kFormats[1],
       {R"({"state":"stop"} ok)"},
       "reply: malformed: byte 18: not JSON: invalid literal"},
  };
  for (const auto& c : cases) {
    const auto action = parse_reply(c.reply, c.format);
    ASSERT_FALSE(action) << c.reply.text;
    EXPECT_EQ(action.error().message, c.message);
  }
}

TEST(RenderAction, IsReadBackAsTheSameAction) {
  for (const ReplyFormat format : kFormats) {
    for (const char* question : {"How old are you?", "\"Quoted\" {x}\n\u4f60\u597d", "stop"}) {
      const auto back =
          parse_reply({render_action({Decision::kContinue, question}, format)}, format);
      ASSERT_TRUE(back);
      EXPECT_EQ(back->decision, Decision::kContinue);
      EXPECT_EQ(back->question, question);
    }
    const auto stop = parse_reply({render_action({Decision::kStop, ""}, format)}, format);
    ASSERT_TRUE(stop);
    EXPECT_EQ(stop->decision, Decision::kStop);
  }
  EXPECT_EQ(render_action({Decision::kStop, ""}, ReplyFormat::kPlain), "<stop />");
  EXPECT_EQ(render_action({Decision::kContinue, "Age?"}, ReplyFormat::kTuple),
            R"({"state":"continue","ask":"Age?"})");
}

TEST(ParseReplyCompat, StopsWhereverTheStopTextStands) {
  EXPECT_EQ(parse_reply_compat({"Thanks. <stop /> Bye"}).decision, Decision::kStop);
  EXPECT_EQ(parse_reply_compat({"<stop />", true}).decision, Decision::kStop);
  EXPECT_EQ(parse_reply_compat({""}).decision, Decision::kContinue);
  EXPECT_EQ(parse_reply_compat({" Age? ", true}).question, "Age?");
}

TEST(ReplyFormat, IsChosenByName) {
  EXPECT_EQ(*reply_format_from_name("plain"), ReplyFormat::kPlain);
  EXPECT_EQ(*reply_format_from_name("tuple"), ReplyFormat::kTuple);
  EXPECT_EQ(reply_format_from_name("xml").error().message,
            "reply format: expected plain or tuple, got 'xml'");
}

}  // namespace
}  // namespace l2a
