#include "dialogue/session.h"

#include <gtest/gtest.h>

#include "base/jsonl.h"
#include "base/rng.h"

namespace l2a {
namespace {

Session parse(const std::string& text) {
  return session_from_json(parse_json(text).value_or_throw()).value_or_throw();
}

TEST(SessionFromJson, KeepsEveryKeyItDoesNotKnow) {
  const Session session = parse(
      R"({"session_id":7,"diagn":"flu","messages":[{"role":"user","content":"hi","labels":{"a":[1]}},)"
      R"({"role":"assistant","content":"Age?"}],"tail":[{"role":"user","content":"bye","n":1}],)"
      R"("stop_seen":false,"system":"be kind"})");
  EXPECT_EQ(session.id, "7");
  EXPECT_EQ(session.system, "be kind");
  EXPECT_EQ(session.stop_seen, false);
  EXPECT_EQ(session.messages.at(0).extra, (Json{{"labels", {{"a", {1}}}}}));
  EXPECT_EQ(session.messages.at(1).role, Role::kAssistant);
  EXPECT_EQ(session.tail.at(0).extra, (Json{{"n", 1}}));
  EXPECT_EQ(session.extra, (Json{{"diagn", "flu"}}));
  EXPECT_EQ(
      dump_json(to_json(session)),
      R"({"session_id":"7","diagn":"flu","system":"be kind","stop_seen":false,)"
      R"("messages":[{"role":"user","content":"hi","labels":{"a":[1]}},)"
      R"({"role":"assistant","content":"Age?"}],"tail":[{"role":"user","content":"bye","n":1}]})");
}

TEST(SessionFromJson, SaysWhatIsWrongAndWhere) {
  const std::string good = R"({"role":"user","content":"hi"})";
  const struct {
    std::string text, message;
  } cases[] = {
      {"[]", "expected an object"},
      {R"({"messages":[]})", "'session_id': missing"},
      {R"({"session_id":1.5})", "'session_id': expected a string or a whole number, got a number"},
      {R"({"session_id":null})", "'session_id': expected a string or a whole number, got null"},
      {R"({"session_id":" "})", "'session_id': blank"},
      {R"({"session_id":1})", "'messages': missing"},
      {R"({"session_id":1,"messages":{}})", "'messages': expected an array, got an object"},
      {R"({"session_id":1,"messages":[]})", "'messages': empty"},
      {R"({"session_id":1,"messages":["hi"]})", "'messages'[0]: expected an object, got a string"},
      {R"({"session_id":1,"messages":[)" + good + R"(,{"content":"x"}]})",
       "'messages'[1]: 'role': missing"},
      {R"({"session_id":1,"messages":[{"role":"user"}]})", "'messages'[0]: 'content': missing"},
      {R"({"session_id":1,"messages":[{"role":"user","content":7}]})",
       "'messages'[0]: 'content': expected a string, got a number"},
      {R"({"session_id":1,"messages":[{"role":"user","content":" \u3000\n"}]})",
       "'messages'[0]: 'content': blank"},
      {R"({"session_id":1,"messages":[{"role":"User","content":"x"}]})",
       "'messages'[0]: 'role': expected user or assistant, got 'User'"},
      {R"({"session_id":1,"messages":[)" + good + R"(],"tail":[{"role":"tool","content":"x"}]})",
       "'tail'[0]: 'role': expected user or assistant, got 'tool'"},
      {R"({"session_id":1,"messages":[)" + good + R"(],"stop_seen":"no"})",
       "'stop_seen': expected true or false, got a string"},
      {R"({"session_id":1,"system":3,"messages":[)" + good + "]}",
       "'system': expected a string, got a number"},
  };
  for (const auto& c : cases) {
    const auto session = session_from_json(*parse_json(c.text));
    ASSERT_FALSE(session) << c.text;
    EXPECT_EQ(session.error().message, c.message) << c.text;
  }
}

TEST(ToJson, IsReadBackAsTheSameSession) {
  Rng rng(1);
  for (int i = 0; i < 500; ++i) {
    Session session{.id = "s" + std::to_string(i),
                    .system = rng.chance(0.5) ? "be kind" : "",
                    .messages = {},
                    .tail = {},
                    .stop_seen = {}};
    if (rng.chance(0.5)) session.stop_seen = rng.chance(0.5);
    if (rng.chance(0.5)) session.extra["k"] = {1, "two"};
    const auto message = [&] {
      Message m{rng.chance(0.5) ? Role::kUser : Role::kAssistant, "text " + std::to_string(i)};
      if (rng.chance(0.3)) m.extra["labels"] = {{"act", "ask"}};
      return m;
    };
    for (uint64_t n = 1 + rng.below(5); n > 0; --n) session.messages.push_back(message());
    for (uint64_t n = rng.below(3); n > 0; --n) session.tail.push_back(message());
    const std::string text = dump_json(to_json(session));
    EXPECT_EQ(dump_json(to_json(parse(text))), text);
  }
}

TEST(ToJson, AKeyOfTheSourceNeverReplacesTheText) {
  Session session{.id = "1", .system = {}, .messages = {}, .tail = {}, .stop_seen = {}};
  session.messages.push_back({Role::kUser, "said", Json{{"content", "other"}, {"role", "robot"}}});
  EXPECT_EQ(dump_json(to_json(session)["messages"][0]), R"({"role":"user","content":"said"})");
}

TEST(TurnsOf, CoverEveryMessageOnceAndAlternate) {
  Rng rng(2);
  for (int i = 0; i < 500; ++i) {
    Session session;
    for (uint64_t n = rng.below(12); n > 0; --n) {
      session.messages.push_back(
          {rng.chance(0.5) ? Role::kUser : Role::kAssistant, std::to_string(n)});
    }
    const auto turns = turns_of(session);
    size_t next = 0;
    for (size_t t = 0; t < turns.size(); ++t) {
      EXPECT_EQ(turns[t].first_message, next);
      std::string joined;
      for (size_t m = 0; m < turns[t].message_count; ++m, ++next) {
        EXPECT_EQ(session.messages[next].role, turns[t].role);
        joined += (m > 0 ? "\n" : "") + session.messages[next].text;
      }
      EXPECT_EQ(turns[t].text, joined);
      EXPECT_TRUE(t == 0 || turns[t].role != turns[t - 1].role);
    }
    EXPECT_EQ(next, session.messages.size());
  }
}

TEST(SessionFromJson, ReadsTheRealDataAndGivesItBack) {
  const std::string data = L2A_SOURCE_DIR "/../shared/data";
  if (!std::filesystem::exists(data)) GTEST_SKIP() << "no ../shared/data";
  for (const char* set : {"flodial", "osce", "star", "dialmed"}) {
    JsonlReader reader(data + "/" + set + "/dev.jsonl");
    while (auto line = reader.next()) {
      const JsonLine source = std::move(*line).value_or_throw();
      Json back = to_json(session_from_json(source.value).value_or_throw());
      Json expected = source.value;
      expected["session_id"] = dump_json(source.value["session_id"]);
      if (expected.contains("tail") && expected["tail"].empty()) expected.erase("tail");
      // As sets of members: the order of the session's own keys is ours.
      EXPECT_EQ(nlohmann::json::parse(back.dump()), nlohmann::json::parse(expected.dump()));
    }
  }
}

}  // namespace
}  // namespace l2a
