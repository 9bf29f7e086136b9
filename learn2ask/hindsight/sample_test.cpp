#include "hindsight/sample.h"

#include <filesystem>
#include <fstream>

#include <gtest/gtest.h>

#include "base/jsonl.h"
#include "hindsight/testing.h"

namespace l2a {
namespace {

LabelledSession example() {
  Session session =
      session_of({"u: Hello.", "a: What do you take?", "u: Thanks! Aspirin", "u: and zinc.",
                  "a: Any pain?", "u: 头疼。", "a: Rest.", "u: Bye."});
  session.messages[1].extra["truth"] = {{"slot", "medicine"}};
  session.system = "Ask.";
  session.tail = {{Role::kUser, "Thanks.", Json::object()}};
  session.extra["diagn"] = "cold";
  auto labelled = label_by_rules(session);
  labelled.samples[1].wanted.reset();  // one of each kind
  labelled.samples[2].decision.reset();
  labelled.censored = true;
  return labelled;
}

TEST(LabelledSession, ComesBackFromItsLine) {
  const LabelledSession session = example();
  const std::string line = dump_json(to_json(session));
  const auto back = labelled_session_from_json(parse_json(line).value_or_throw());
  ASSERT_TRUE(back) << back.error().message;
  EXPECT_EQ(back->id, session.id);
  EXPECT_EQ(back->turns, session.turns);
  EXPECT_EQ(back->censored, session.censored);
  EXPECT_EQ(back->extra, session.extra);
  EXPECT_EQ(back->extra["system"], "Ask.");
  EXPECT_EQ(back->messages[1].extra, session.messages[1].extra);
  ASSERT_EQ(back->samples.size(), session.samples.size());
  for (size_t i = 0; i < session.samples.size(); ++i) {
    const Sample &a = back->samples[i], &b = session.samples[i];
    EXPECT_EQ(a.turn, b.turn);
    EXPECT_EQ(a.kind.value, b.kind.value);
    EXPECT_EQ(a.kind.rule, b.kind.rule);
    EXPECT_EQ(a.wanted, b.wanted);
    ASSERT_EQ(a.decision.has_value(), b.decision.has_value());
    if (a.decision) {
      EXPECT_EQ(a.decision->value, b.decision->value);
      EXPECT_EQ(a.decision->rule, b.decision->rule);
    }
  }
  EXPECT_EQ(dump_json(to_json(*back)), line);
  EXPECT_EQ(sample_id(*back, back->samples[1]), "s/3");
}

TEST(LabelledSession, SaysWhatIsWrongWithALine) {
  const struct {
    const char* pointer;  // what to replace
    const char* value;    // JSON; empty: remove
    const char* message;
  } cases[] = {
      {"/session_id", "", "'session_id': missing"},
      {"/messages", "[]", "'messages': empty"},
      {"/censored", "", "'censored': missing"},
      {"/censored", "\"no\"", "'censored': expected true or false, got a string"},
      {"/items", "", "'items': missing"},
      {"/items", "{}", "'items': expected a list, got an object"},
      {"/items/0", "7", "'items'[0]: expected an object"},
      {"/items/0/fact", "", "'items'[0]: 'fact': missing"},
      {"/items/0/question", "", "'items'[0]: 'question': missing"},
      {"/items/0/answer_turn", "99",
       "'items'[0]: 'answer_turn': expected a whole number below 7, got 99"},
      {"/items/0/question_turn", "2",
       "'items'[0]: 'question_turn': expected a whole number below 2, got 2"},
      {"/items/0/source", "", "'items'[0]: 'source': missing"},
      {"/items/0/source", "3", "'items'[0]: expected an object, got a number"},
      {"/items/0/source/message", "4",
       "'items'[0]: 'message': expected a whole number below 4, got 4"},
      {"/items/0/source/end", "12", "'items'[0]: 'end': expected a whole number below 10, got 12"},
      {"/items/0/source/begin", "-1",
       "'items'[0]: 'begin': expected a whole number below 15, got -1"},
      {"/samples", "", "'samples': missing"},
      {"/samples/0/turn", "0", "'samples'[0]: 'turn': not the expert's"},
      {"/samples/0/turn", "1.5", "'samples'[0]: 'turn': expected a whole number below 7, got 1.5"},
      {"/samples/0/turn", "3", "'samples'[1]: 'turn': not after the sample before"},
      {"/samples/0/kind", "\"nod\"",
       "'samples'[0]: 'kind': expected ask or inform or stop, got 'nod'"},
      {"/samples/0/kind", "\"stop\"", "'samples'[1]: after the stop"},
      {"/samples/0/kind_rule", "", "'samples'[0]: 'kind_rule': missing"},
      {"/samples/0/decision", "", "'samples'[0]: 'decision': missing"},
      {"/samples/0/decision", "\"go\"",
       "'samples'[0]: 'decision': expected continue or stop, got 'go'"},
      {"/samples/0/decision_rule", "null",
       "'samples'[0]: 'decision_rule': expected a string, got null"},
      {"/samples/0/wanted", "", "'samples'[0]: 'wanted': missing"},
      {"/samples/0/wanted", "\"none\"", "'samples'[0]: 'wanted': expected a list, got a string"},
      {"/samples/0/wanted/0", "9", "'samples'[0]: 'wanted': no item 9"},
      {"/samples/0/wanted/0", "\"0\"", "'samples'[0]: 'wanted': no item \"0\""},
  };
  for (const auto& c : cases) {
    Json line = to_json(example());
    const Json::json_pointer pointer(c.pointer);
    if (*c.value) {
      line[pointer] = Json::parse(c.value);
    } else {
      line[pointer.parent_pointer()].erase(pointer.back());
    }
    const auto session = labelled_session_from_json(line);
    ASSERT_FALSE(session) << c.pointer << " " << c.value;
    EXPECT_EQ(session.error().message, c.message) << c.pointer << " " << c.value;
  }
}

TEST(ReadLabels, NamesTheLineThatItCannotRead) {
  const auto path = std::filesystem::temp_directory_path() / "l2a_read_labels_test.jsonl";
  FileHeader header{
      .format = "labels", .command = "learn2ask label", .config_sha256 = "0", .input_sha256 = "0"};
  const std::string good = dump_json(to_json(header)) + "\n" + dump_json(to_json(example())) + "\n";
  std::ofstream(path) << good;
  ASSERT_EQ(read_labels(path.string()).size(), 1u);
  EXPECT_EQ(read_labels(path.string())[0].samples.size(), 3u);

  std::ofstream(path) << good << R"({"session_id": 1, "messages": []})" << "\n";
  try {
    read_labels(path.string());
    ADD_FAILURE();
  } catch (const Failure& failure) {
    EXPECT_EQ(failure.error.message, path.string() + ":3: 'messages': empty");
  }
  header.format = "sessions";
  std::ofstream(path) << dump_json(to_json(header)) << "\n";
  EXPECT_THROW(read_labels(path.string()), Failure);
  std::filesystem::remove(path);
}

}  // namespace
}  // namespace l2a
