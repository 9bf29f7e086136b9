#include "calibrate/gold_label.h"

#include <memory>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/rng.h"
#include "base/testing.h"
#include "calibrate/testing.h"

namespace l2a {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

const std::vector<CalibrationItem>& items() {
  static const std::vector<CalibrationItem> kItems = {
      grade_item("g"), extract_item("e", {"34", "I smoke"}), stop_item("s", Decision::kStop)};
  return kItems;
}
const ItemIndex& item_index() {
  static const ItemIndex kIndex(items());
  return kIndex;
}

Result<GoldLabel> label_of(const std::string& line) {
  return gold_label_from_json(parsed(line), item_index());
}

GoldLabels labels_in(const std::string& path) {
  GoldLabels labels;
  read_gold_labels(path, item_index(), labels);
  return labels;
}

TEST(GoldLabels, ReadsSeveralFilesOneAfterTheOther) {
  const TempDir dir;
  const std::string first = dir / "a.jsonl", second = dir / "b.jsonl";
  write_file_atomic(first, R"({"item":"g","by":"Ann","grade":1})"
                           "\n"
                           R"({"item":"g","by":"Bea","grade":0})"
                           "\n");
  write_file_atomic(second, R"({"item":"g","by":"Ann","undone":true})"
                            "\n"
                            R"({"item":"g","by":"Bea","grade":0.5})"
                            "\n");
  GoldLabels labels;
  for (const std::string& path : {first, second}) read_gold_labels(path, item_index(), labels);
  EXPECT_EQ(labels.find("g", "Ann"), nullptr);
  EXPECT_EQ(labels.grade_of("g"), 0.5);
}

TEST(GoldLabel, IsTheSameLineAgain) {
  for (const std::string line :
       {R"({"item":"g","by":"Ann","grade":0.5,"note":"of «age»"})",
        R"({"item":"e","by":"Ann","items":["right",null],"missing":["since Monday"]})",
        R"({"item":"e","by":"Ann","items":["wrong","right"],"missing":[]})",
        R"({"item":"s","by":"Ann","decision":"continue"})",
        R"({"item":"g","by":"Ann","unsure":true})", R"({"item":"e","by":"Ann","undone":true})"}) {
    const auto label = label_of(line);
    ASSERT_TRUE(label) << label.error().message;
    EXPECT_EQ(dump_json(to_json(*label)), line);
  }
}

TEST(GoldLabel, TakesWhatPeopleType) {
  const auto spaced = label_of(R"({"item":"g","by":"  Ann B ","grade":1,"unsure":false})");
  ASSERT_TRUE(spaced);
  EXPECT_EQ(spaced->by, "Ann B");
  EXPECT_EQ(spaced->grade, 1.0);
  const std::string longest(40, 'x');
  EXPECT_TRUE(label_of(R"({"item":"g","grade":0,"time":"now","by":")" + longest + "\"}"));
  EXPECT_TRUE(label_of(R"({"item":"e","by":"Ann","items":["right","wrong"]})"));
}

TEST(GoldLabel, RefusesWhatIsNoJudgementAndSaysWhy) {
  const std::string too_long_a_name(41, 'x'), too_long_a_note(10'001, 'x');
  const struct {
    std::string rest, why;
  } cases[] = {
      {R"("by":"Ann","grade":1)", "'item': missing"},
      {R"("item":"nobody's","by":"Ann","grade":1)", "'item': there is no item"},
      {R"("item":"g","grade":1)", "'by': missing"},
      {R"("item":"g","by":7,"grade":1)", "'by'"},
      {R"("item":"g","by":" \t","grade":1)", "'by'"},
      {R"("item":"g","grade":1,"by":")" + too_long_a_name + "\"", "'by'"},
      {R"("item":"g","by":"Ann")", "got 0"},
      {R"("item":"g","by":"Ann","unsure":false,"undone":false)", "got 0"},
      {R"("item":"g","by":"Ann","grade":1,"unsure":true)", "got 2"},
      {R"("item":"g","by":"Ann","grade":1,"undone":true)", "got 2"},
      {R"("item":"s","by":"Ann","grade":1,"decision":"stop")", "got 2"},
      {R"("item":"e","by":"Ann","items":["right","right"],"decision":"stop")", "got 2"},
      {R"("item":"g","by":"Ann","unsure":"yes")", "'unsure'"},
      {R"("item":"g","by":"Ann","undone":1)", "'undone'"},
      {R"("item":"g","by":"Ann","grade":0.25)", "'grade'"},
      {R"("item":"g","by":"Ann","grade":-0.5)", "'grade'"},
      {R"("item":"g","by":"Ann","grade":1e300)", "'grade'"},
      {R"("item":"g","by":"Ann","grade":"1")", "'grade'"},
      {R"("item":"g","by":"Ann","grade":null)", "'grade'"},
      {R"("item":"e","by":"Ann","grade":1)", "'grade': not of an item of kind extract"},
      {R"("item":"g","by":"Ann","decision":"stop")", "'decision': not of an item of kind grade"},
      {R"("item":"s","by":"Ann","decision":"wait")", "'decision'"},
      {R"("item":"s","by":"Ann","decision":true)", "'decision'"},
      {R"("item":"s","by":"Ann","items":[])", "'items': not of an item of kind stop"},
      {R"("item":"e","by":"Ann","unsure":true)", "'unsure': not of an item of kind extract"},
      {R"("item":"e","by":"Ann","items":["right"])", "'items'"},
      {R"("item":"e","by":"Ann","items":["right","wrong","wrong"])", "'items'"},
      {R"("item":"e","by":"Ann","items":["right","yes"])", "'items'"},
      {R"("item":"e","by":"Ann","items":[true,false])", "'items'"},
      {R"("item":"e","by":"Ann","items":"right")", "'items'"},
      {R"("item":"g","by":"Ann","grade":1,"note":3)", "'note'"},
      {R"("item":"g","by":"Ann","grade":1,"note":")" + too_long_a_note + "\"", "'note'"},
  };
  for (const auto& c : cases) {
    const auto label = label_of("{" + c.rest + "}");
    ASSERT_FALSE(label) << c.rest;
    EXPECT_THAT(label.error().message, HasSubstr(c.why)) << c.rest;
  }
}

TEST(GoldLabel, RefusesAsMissingWhatTheUserDoesNotSay) {
  for (const std::string missing :
       {"\"34\"", "[34]", "[\"I am 35\"]", "[\"Any fever\"]",  // the expert's
        "[\"I cough\"]",                                       // before this turn
        "[\"smok\"]", "[\"\"]", "[\"...\"]", "[\"since Monday\", \"nothing\"]"}) {
    const auto label =
        label_of(R"({"item":"e","by":"Ann","items":["right","wrong"],"missing":)" + missing + "}");
    ASSERT_FALSE(label) << missing;
    EXPECT_THAT(label.error().message, HasSubstr("'missing'")) << missing;
  }
}

TEST(GoldLabel, FindsWhereWhatIsMissingWasSaid) {
  const auto label = label_of(
      R"({"item":"e","by":"Ann","items":["right","wrong"],"missing":["Since  monday!","a cold"]})");
  ASSERT_TRUE(label);
  EXPECT_THAT(label->missing_said,
              ElementsAre(said_at(items()[1], "since Monday"), said_at(items()[1], "a cold")));
}

// "No." is said twice, and once a claim has it.
TEST(GoldLabel, FindsWhatIsMissingWhereNothingElseHasIt) {
  CalibrationItem item = extract_item("e", {});
  item.future = {expert_says("Any fever?"), user_says("No."), expert_says("Any pain?"),
                 user_says("No.")};
  const SaidRange first{.turn = 2, .bytes = {0, 2}}, second{.turn = 4, .bytes = {0, 2}};
  const auto missing_of = [&](const std::string& judgement) {
    const std::vector<CalibrationItem> one = {item};
    return gold_label_from_json(parsed(R"({"item":"e","by":"Ann",)" + judgement + "}"),
                                ItemIndex(one))
        .value_or_throw()
        .missing_said;
  };
  EXPECT_THAT(missing_of(R"("items":[],"missing":["No"])"), ElementsAre(first));
  EXPECT_THAT(missing_of(R"("items":[],"missing":["No", "No"])"), ElementsAre(first, second));
  item.claims = {Claim{.question = "Any fever?", .fact = "No", .said = first}};
  EXPECT_THAT(missing_of(R"("items":["right"],"missing":["No"])"), ElementsAre(second));
  EXPECT_THAT(missing_of(R"("items":["wrong"],"missing":["No"])"), ElementsAre(second));
  EXPECT_THAT(missing_of(R"("items":["wrong"],"missing":["No", "No"])"),
              ElementsAre(second, first));
}

TEST(GoldLabel, IsCompleteWithAJudgementOfEveryClaim) {
  EXPECT_FALSE((GoldLabel{.item = "g", .by = "Ann"}).is_complete());
  EXPECT_TRUE(graded("g", "Ann", 0).is_complete());
  EXPECT_TRUE(decided("s", "Ann", Decision::kContinue).is_complete());
  EXPECT_TRUE((GoldLabel{.item = "g", .by = "Ann", .unsure = true}).is_complete());
  EXPECT_TRUE(judged("e", "Ann", {}).is_complete());
  EXPECT_TRUE(judged("e", "Ann", {true, false}).is_complete());
  EXPECT_FALSE(judged("e", "Ann", {true, std::nullopt}).is_complete());
}

TEST(GoldLabels, KeepTheLastOfEachPerson) {
  GoldLabels labels;
  labels.put(graded("g", "Bea", 0));
  labels.put(graded("g", "Ann", 0));
  labels.put(graded("g", "Ann", 1));
  labels.put(decided("s", "Cem", Decision::kStop));
  EXPECT_EQ(labels.find("g", "Ann")->grade, 1.0);
  EXPECT_EQ(labels.find("g", "Bea")->grade, 0.0);
  EXPECT_EQ(labels.find("g", "Cem"), nullptr);
  EXPECT_THAT(labels.of("g"), ElementsAre(labels.find("g", "Ann"), labels.find("g", "Bea")));
  EXPECT_THAT(labels.people(), ElementsAre("Ann", "Bea", "Cem"));
}

TEST(GoldLabels, ForgetWhatWasUndoneAndNothingElse) {
  GoldLabels labels;
  labels.put(GoldLabel{.item = "g", .by = "Ann", .undone = true});  // nothing was said
  labels.put(graded("g", "Ann", 0));
  labels.put(graded("g", "Bea", 1));
  labels.put(GoldLabel{.item = "g", .by = "Ann", .undone = true});
  EXPECT_EQ(labels.find("g", "Ann"), nullptr);
  EXPECT_THAT(labels.people(), ElementsAre("Bea"));
  labels.put(graded("g", "Ann", 0.5));
  EXPECT_EQ(labels.find("g", "Ann")->grade, 0.5);
}

TEST(GoldLabels, GiveTheLowerMiddleOfTheGrades) {
  Rng rng(1);
  for (int round = 0; round < 500; ++round) {
    GoldLabels labels;
    labels.put(GoldLabel{.item = "g", .by = "unsure", .unsure = true});
    labels.put(graded("another", "Ann", 1));
    EXPECT_EQ(labels.grade_of("g"), std::nullopt);
    std::vector<double> grades;
    for (size_t n = 1 + rng.below(6); n > 0; --n) {
      grades.push_back(static_cast<double>(rng.below(3)) / 2);
      labels.put(graded("g", std::to_string(n), grades.back()));
    }
    const double middle = labels.grade_of("g").value();
    // The lowest one that half of the grades are not above.
    const auto share_up_to = [&](double limit) {
      return static_cast<double>(std::count_if(grades.begin(), grades.end(),
                                               [&](double grade) { return grade <= limit; })) /
             static_cast<double>(grades.size());
    };
    EXPECT_GE(share_up_to(middle), 0.5);
    EXPECT_LT(share_up_to(middle - 0.5), 0.5);
  }
}

TEST(GoldLabels, GiveTheDecisionOfMostPeople) {
  for (int stops = 0; stops < 4; ++stops) {
    for (int others = 0; others < 4; ++others) {
      GoldLabels labels;
      labels.put(GoldLabel{.item = "s", .by = "unsure", .unsure = true});
      for (int i = 0; i < stops + others; ++i) {
        labels.put(
            decided("s", std::to_string(i), i < stops ? Decision::kStop : Decision::kContinue));
      }
      std::optional<Decision> most;  // none in a tie
      if (stops != others) most = stops > others ? Decision::kStop : Decision::kContinue;
      EXPECT_EQ(labels.decision_of("s"), most) << stops << " against " << others;
    }
  }
}

TEST(ReadGoldLabels, NamesTheLineThatIsNone) {
  const TempDir dir;
  const std::string path = dir / "labels.jsonl";
  const std::string good = dump_json(to_json(graded("g", "Ann", 1)));
  write_file_atomic(path, good + "\n" + R"({"item":"g","by":"Bea","grade":7})" + "\n");
  EXPECT_EQ(failure_of([&] { labels_in(path); }), path + ":2: 'grade': expected 0, 0.5 or 1");
  write_file_atomic(path, good + "\n");  // made by hand, without a header
  EXPECT_EQ(labels_in(path).grade_of("g"), 1.0);
}

TEST(GoldLabelFile, HasEachLabelOnDiskAtOnce) {
  const TempDir dir;
  const std::string path = dir / "labels.jsonl";
  {
    GoldLabelFile file(path, item_index());
    file.put(graded("g", "Ann", 0.5));
    EXPECT_EQ(labels_in(path).grade_of("g"), 0.5);
    file.put(GoldLabel{.item = "g", .by = "Ann", .undone = true});
    EXPECT_EQ(labels_in(path).find("g", "Ann"), nullptr);
    file.put(*label_of(R"({"item":"e","by":"Ann","items":["right",null],"missing":["a cold"]})"));
    EXPECT_NE(labels_in(path).find("e", "Ann"), nullptr);
  }
  const GoldLabelFile again(path, item_index());
  EXPECT_EQ(again.labels().find("g", "Ann"), nullptr);
  const GoldLabel& label = *again.labels().find("e", "Ann");
  EXPECT_EQ(label.claims, (std::vector<std::optional<bool>>{true, std::nullopt}));
  EXPECT_THAT(label.missing_said, ElementsAre(said_at(items()[1], "a cold")));
}

TEST(GoldLabelFile, LosesNothingButTheLineThatAKillTore) {
  const TempDir dir;
  const std::string whole = dir / "labels.jsonl", cut = dir / "cut.jsonl";
  {
    GoldLabelFile file(whole, item_index());
    for (const char* by : {"Ann", "Bea", "Cem"}) file.put(graded("g", by, 0.5));
  }
  const std::string bytes = read_file(whole);
  for (size_t size = bytes.find('\n') + 1; size <= bytes.size(); ++size) {
    const std::string part = bytes.substr(0, size);
    write_file_atomic(cut, part);
    const auto kept = static_cast<size_t>(std::count(part.begin(), part.end(), '\n')) - 1;
    {
      GoldLabelFile file(cut, item_index());
      ASSERT_EQ(file.labels().of("g").size(), kept) << size;
      file.put(graded("g", "Zoe", 1));
    }
    ASSERT_EQ(labels_in(cut).of("g").size(), kept + 1) << size;
  }
}

TEST(GoldLabelFile, LeavesAFileAloneThatItDidNotBegin) {
  const TempDir dir;
  const std::string path = dir / "labels.jsonl";
  const std::string line = dump_json(to_json(graded("g", "Ann", 1)));
  for (const std::string& text :
       {line, line + "\n", line + "\n" + line, std::string("my notes"),
        std::string("\n\nmy notes\n"), header_of("sessions"), header_of("sessions") + line}) {
    write_file_atomic(path, text);
    EXPECT_THAT(failure_of([&] { GoldLabelFile(path, item_index()); }), HasSubstr(path)) << text;
    EXPECT_EQ(read_file(path), text);
  }
}

TEST(GoldLabelFile, RefusesASecondOpener) {
  const TempDir dir;
  const std::string path = dir / "labels.jsonl";
  auto first = std::make_unique<GoldLabelFile>(path, item_index());
  first->put(graded("g", "Ann", 0.5));
  EXPECT_THAT(failure_of([&] { GoldLabelFile(path, item_index()); }), HasSubstr("another process"));
  first.reset();
  EXPECT_EQ(GoldLabelFile(path, item_index()).labels().grade_of("g"), 0.5);
}

}  // namespace
}  // namespace l2a
