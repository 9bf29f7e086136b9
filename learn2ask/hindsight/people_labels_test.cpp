// The rules against what people said about real sessions. The acts that people gave are not shown
// to the rules here.
#include <filesystem>
#include <set>

#include <gtest/gtest.h>

#include "dialogue/session_file.h"
#include "hindsight/testing.h"

namespace l2a {
namespace {

const std::string kData = L2A_SOURCE_DIR "/../shared/data";

std::string act_of(const Session& session, const Turn& turn) {
  const Json& extra = session.messages[turn.first_message].extra;
  return extra.contains("labels") ? extra["labels"].value("act", "") : "";
}

LabelOptions blind() {
  LabelOptions options;
  options.acts = {.ask = {}, .stop = {}, .inform = {}};
  return options;
}

class PeopleLabels : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!std::filesystem::exists(kData)) GTEST_SKIP() << "no folder ../shared/data";
  }
};

struct Agreement {
  size_t right = 0, all = 0;
  void add(bool agrees) { right += agrees, ++all; }
  double share() const { return static_cast<double>(right) / static_cast<double>(all); }
};

// Turns labelled ask must ask; turns labelled solve must be the stop.
TEST_F(PeopleLabels, SayWhichTurnsAskAndWhichStopInFlodial) {
  for (const char* file : {"flodial/train.jsonl", "flodial/dev.jsonl"}) {
    Agreement ask, stop;
    for (const Session& session : read_sessions(kData + "/" + file)) {
      const auto labelled = label_by_rules(session, blind());
      for (const Sample& sample : labelled.samples) {
        const std::string act = act_of(session, labelled.turns[sample.turn]);
        if (act == "ask") ask.add(sample.kind.value == TurnKind::kAsk);
        if (act == "solve") stop.add(sample.kind.value == TurnKind::kStop);
      }
    }
    RecordProperty("ask", std::to_string(ask.share()));
    EXPECT_GE(ask.share(), 0.995) << file << " " << ask.right << " of " << ask.all;
    EXPECT_GE(stop.share(), 0.98) << file << " " << stop.right << " of " << stop.all;
  }
}

// An item for each attribute that people say was asked for, credited to its first question, and
// none besides. Questions within explanations ("Do you know how to check it?") are the surplus.
TEST_F(PeopleLabels, SayWhichQuestionsHaveAnItemInFlodial) {
  for (const char* file : {"flodial/train.jsonl", "flodial/dev.jsonl"}) {
    size_t found = 0, expected = 0, both = 0;
    for (const Session& session : read_sessions(kData + "/" + file)) {
      const auto labelled = label_by_rules(session, blind());
      std::set<std::string> attributes;
      std::set<size_t> asked, credited;
      for (size_t t = 0; t < labelled.turns.size(); ++t) {
        if (act_of(session, labelled.turns[t]) != "ask") continue;
        const Json& labels = session.messages[labelled.turns[t].first_message].extra["labels"];
        if (attributes.insert(dump_json(labels["attributes"])).second) asked.insert(t);
      }
      for (const Sample& sample : labelled.samples) {
        for (const Item& item : *sample.wanted) credited.insert(item.question_turn);
      }
      found += credited.size();
      expected += asked.size();
      for (const size_t t : credited) both += asked.contains(t);
    }
    const double precision = static_cast<double>(both) / static_cast<double>(found);
    const double recall = static_cast<double>(both) / static_cast<double>(expected);
    RecordProperty(file == std::string("flodial/dev.jsonl") ? "precision" : "precision_train",
                   std::to_string(precision));
    RecordProperty(file == std::string("flodial/dev.jsonl") ? "recall" : "recall_train",
                   std::to_string(recall));
    EXPECT_GE(precision, 0.94) << file << " " << both << " of " << found;
    EXPECT_GE(recall, 0.98) << file << " " << both << " of " << expected;
  }
}

TEST_F(PeopleLabels, SayWhichTurnsAskInStar) {
  for (const char* file : {"star/train.jsonl", "star/dev.jsonl"}) {
    Agreement ask;
    for (const Session& session : read_sessions(kData + "/" + file)) {
      const auto labelled = label_by_rules(session, blind());
      for (const Sample& sample : labelled.samples) {
        if (act_of(session, labelled.turns[sample.turn]) != "ask") continue;
        ask.add(sample.kind.rule == "question_mark" || sample.kind.rule == "question_form");
      }
    }
    EXPECT_GE(ask.share(), 0.995) << file << " " << ask.right << " of " << ask.all;
  }
}

// The data's mark that the end was seen decides alone: a session without it is censored, however it
// ends.
TEST_F(PeopleLabels, DecideWhetherTheEndIsInTheLogInOsce) {
  for (const Session& session : read_sessions(kData + "/osce/train.jsonl")) {
    const auto labelled = label_by_rules(session);
    const bool stops = labelled.samples.back().kind.value == TurnKind::kStop;
    EXPECT_EQ(stops, *session.stop_seen) << session.id;
    EXPECT_EQ(labelled.censored, !*session.stop_seen) << session.id;
  }
}

// The last message of each session advises a medicine: a stop, unless it asks as well.
TEST_F(PeopleLabels, SayWhereTheConsultationEndsInDialmed) {
  Agreement stop;
  for (const Session& session : read_sessions(kData + "/dialmed/train.jsonl")) {
    const auto labelled = label_by_rules(session);
    stop.add(labelled.samples.back().kind.value == TurnKind::kStop);
  }
  EXPECT_GE(stop.share(), 0.9) << stop.right << " of " << stop.all;
}

}  // namespace
}  // namespace l2a
