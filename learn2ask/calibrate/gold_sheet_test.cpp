#include "calibrate/gold_sheet.h"

#include <sstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/rng.h"
#include "base/testing.h"
#include "base/utf8.h"
#include "calibrate/testing.h"

namespace l2a {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;
using ::testing::StartsWith;

const std::vector<std::string> kHostile = {"=1+1",
                                           "+1",
                                           "-1",
                                           "@SUM(A1:A9)",
                                           "plain",
                                           "a,b;c\td",
                                           "\"",
                                           "\"\"x",
                                           "a\nb",
                                           "a\r\nb",
                                           "item,label",
                                           "'",
                                           "it's",
                                           "'quoted'",
                                           "\xC3\xA9 \xE4\xBD\x99\xE9\xA2\x9D \xF0\x9F\x98\x80",
                                           "=HYPERLINK(\"http://x\",\"y\")",
                                           "<b>&amp;",
                                           "x\n\n\"y\",\"=z\"\n",
                                           "1",
                                           "unsure"};

std::vector<CalibrationItem> hostile_items() {
  std::vector<CalibrationItem> items;
  for (size_t i = 0; i < kHostile.size(); ++i) {
    CalibrationItem item = grade_item("g-" + std::to_string(i));
    item.reply = kHostile[i];
    item.context[0].text = kHostile[(i + 1) % kHostile.size()];
    item.open[0].fact = kHostile[(i + 2) % kHostile.size()];
    items.push_back(item);
    items.push_back(extract_item("e-" + std::to_string(i), {"34", "No fever"}));
    items.back().claims[0].question = kHostile[i];
    items.push_back(stop_item("s-" + std::to_string(i), Decision::kStop));
  }
  return items;
}

// A judgement of the item, of all that there are.
Json random_judgement(const CalibrationItem& item, Rng& rng) {
  if (item.kind != ItemKind::kExtract && rng.chance(0.2)) return {{"unsure", true}};
  if (item.kind == ItemKind::kGrade) return {{"grade", static_cast<double>(rng.below(3)) / 2}};
  if (item.kind == ItemKind::kStop) return {{"decision", rng.chance(0.5) ? "stop" : "continue"}};
  Json claims = Json::array(), missing = Json::array();
  for (size_t i = 0; i < item.claims.size(); ++i) {
    claims.push_back(rng.chance(0.3) ? Json() : Json(rng.chance(0.5) ? "right" : "wrong"));
  }
  if (rng.chance(0.5)) missing.push_back("=since Monday");
  if (rng.chance(0.5)) missing.push_back("I smoke");
  return {{"items", std::move(claims)}, {"missing", std::move(missing)}};
}

std::vector<GoldLabel> read(const std::string& sheet, const std::vector<CalibrationItem>& items,
                            const std::string& by = "Ann") {
  std::istringstream in(sheet);
  return read_gold_sheet(in, "sheet.csv", ItemIndex(items), by);
}

const std::vector<CalibrationItem>& three_items() {
  static const std::vector<CalibrationItem> kItems = {
      grade_item("g"), extract_item("e", {"34", "I smoke"}), stop_item("s", Decision::kStop)};
  return kItems;
}

TEST(GoldSheet, IsReadBackAsItWasWritten) {
  const auto items = hostile_items();
  const ItemIndex index(items);
  Rng rng(1);
  for (int round = 0; round < 30; ++round) {
    const std::string by =
        rng.pick(std::vector<std::string>{"Ann", "=Ann", "A, \"B\"", "\xC3\x89"});
    GoldLabels labels;
    std::vector<Json> expected;
    for (const CalibrationItem& item : items) {
      if (rng.chance(0.3)) continue;
      Json line = {{"item", item.id}, {"by", by}};
      line.update(random_judgement(item, rng));
      if (rng.chance(0.7)) line["note"] = trim(rng.pick(kHostile));
      const auto label = gold_label_from_json(line, index);
      ASSERT_TRUE(label) << label.error().message;
      labels.put(*label);
      expected.push_back(to_json(*label));
      labels.put(graded(items[0].id, "another", 0.5));  // is left out
    }
    const auto labels_read = read(gold_sheet(items, labels, by), items, "nobody");
    ASSERT_THAT(labels_read, SizeIs(expected.size()));
    for (size_t i = 0; i < expected.size(); ++i) EXPECT_EQ(to_json(labels_read[i]), expected[i]);
  }
}

TEST(GoldSheet, IsReadAsAnotherCountrysSpreadsheetWritesIt) {
  for (const char* sheet : {"item;label;by\r\ng;0,5;Ann\r\n", "item\tlabel\tby\r\ng\t0,5\tAnn\r\n",
                            "item,label,by\r\ng,\"0,5\",Ann\r\n"}) {
    const auto labels_read = read(sheet, three_items());
    ASSERT_THAT(labels_read, SizeIs(1)) << sheet;
    EXPECT_EQ(labels_read[0].grade, 0.5) << sheet;
  }
}

TEST(GoldSheet, KeepsANoteThatLooksGuarded) {
  GoldLabels labels;
  GoldLabel label = graded("g", "Ann", 1);
  label.note = "'=1+1";
  labels.put(label);
  const auto labels_read = read(gold_sheet(three_items(), labels, "Ann"), three_items());
  ASSERT_THAT(labels_read, SizeIs(1));
  EXPECT_EQ(labels_read[0].note, "'=1+1");
}

TEST(GoldSheet, HasNoFormula) {
  const auto items = hostile_items();
  GoldLabels labels;
  for (size_t i = 0; i < kHostile.size(); ++i) {
    GoldLabel label = graded("g-" + std::to_string(i), "=Ann", 1);
    label.note = kHostile[i];
    labels.put(label);
  }
  const std::string sheet = gold_sheet(items, labels, "=Ann");
  // A quote inside a cell is doubled: a single one after a comma or a line's end opens a cell.
  for (const char* before : {",\"", "\r\n\""}) {
    for (const char* formula : {"=", "+", "-", "@", "\t", "\r"}) {
      EXPECT_THAT(sheet, Not(HasSubstr(std::string(before) + formula)));
    }
  }
  EXPECT_THAT(sheet, HasSubstr(",\"'=1+1\""));
  EXPECT_THAT(sheet, HasSubstr(",\"'=Ann\""));
}

TEST(GoldSheet, ShowsWhatThereIsToJudge) {
  const std::string sheet = gold_sheet(three_items(), {}, "Ann");
  EXPECT_THAT(
      sheet,
      StartsWith("\xEF\xBB\xBF\"item\",\"kind\",\"context\",\"said later\",\"to judge\",\"by\","
                 "\"label\",\"missing\",\"note\"\r\n\"g\",\"grade\",\"user: I cough."
                 "\n\",\"How old are you? - 34\n\",\"Your age?\",\"Ann\",\"\",\"\","
                 "\"\"\r\n\"e\",\"extract\","));
  EXPECT_THAT(sheet, HasSubstr("expert: Any fever?\nuser: No fever, but a cold since Monday.\n"));
  EXPECT_THAT(sheet, HasSubstr("\"1. Any? - 34\n2. Any? - I smoke\n\""));
  EXPECT_THAT(read(sheet, three_items()), IsEmpty());
}

TEST(GoldSheet, FindsColumnsByTheirNames) {
  for (const std::string sheet :
       {"item,label\ng,0.5\n", "label,item\r\n0.5,g\r\n", "\xEF\xBB\xBFitem,label\ng,0.5",
        "x,label,y,item,z\n1,0.5,,g\n", "item,label,by,note\ng,0.5\n",
        "item,label\ns,\ng, 0.50 \ne,  \n", "item,by,label\ng,,.5\n"}) {
    const auto labels = read(sheet, three_items());
    ASSERT_THAT(labels, SizeIs(1)) << sheet;
    EXPECT_EQ(to_json(labels[0]), parsed(R"({"item":"g","by":"Ann","grade":0.5})")) << sheet;
  }
  const auto labels = read(
      "note,missing,by,label,item,kind\n,\"since Monday\n\n No fever \",Ben,"
      "right wrong,e,stop\nlast,,,continue,s,\n",
      three_items());
  ASSERT_THAT(labels, SizeIs(2));
  EXPECT_EQ(to_json(labels[0]), parsed(R"({"item":"e","by":"Ben","items":["right","wrong"],)"
                                       R"("missing":["since Monday","No fever"]})"));
  EXPECT_EQ(to_json(labels[1]),
            parsed(R"({"item":"s","by":"Ann","decision":"continue","note":"last"})"));
}

TEST(GoldSheet, RefusesARowAndNamesItsLine) {
  const struct {
    std::string row, why;
  } cases[] = {{"x,1,,", "'item': there is no item 'x'"},
               {",1,,", "'item': there is no item ''"},
               {"g,0.7,,", "'grade': expected 0, 0.5 or 1"},
               {"g,nan,,", "'grade'"},
               {"g,perhaps,,", "'label': expected 1, 0.5, 0 or unsure, got 'perhaps'"},
               {"g,1 0,,", "'label': expected 1, 0.5, 0 or unsure, got '1 0'"},
               {"g,\"0,5,\",,", "'label': expected 1, 0.5, 0 or unsure, got '0,5,'"},
               {"g,stop,,", "'label'"},
               {"s,later,,", "'decision': expected stop or continue, got 'later'"},
               {"s,1,,", "'decision'"},
               {"e,right,,", "'items': expected a list of 2"},
               {"e,right wrong right,,", "'items': expected a list of 2"},
               {"e,right left,,", "'items': expected right, wrong or null"},
               {"e,none,,", "'items': expected a list of 2"},
               {"e,unsure,,", "'unsure': not of an item of kind extract"},
               {"e,right right,I cough,", "'missing': the user does not say 'I cough'"},
               {"e,right right,34,", "'missing': the user does not say '34'"},
               {"e,,I cough,", "'missing' is filled in and 'label' is not"},
               {"g,1,," + std::string(41, 'n'), "'by'"}};
  for (const auto& [row, why] : cases) {
    // The line is that where the row begins, after a cell of three lines.
    const std::string sheet =
        "item,label,missing,by\ns,stop,\"\n\n\",Ben\n\n" + row + "\ns,wrong again,,\n";
    EXPECT_THAT(failure_of([&] { read(sheet, three_items()); }), StartsWith("sheet.csv:6: " + why))
        << row;
  }
  EXPECT_THAT(failure_of([] { read("item,label\ng,1\n", three_items(), ""); }),
              StartsWith("sheet.csv:2: 'by'"));
}

TEST(GoldSheet, RefusesWhatIsNoSheet) {
  EXPECT_EQ(failure_of([] { read("item,note\ng,x\n", three_items()); }),
            "sheet.csv:1: no column 'label'");
  EXPECT_EQ(failure_of([] { read("\n\nLabel,label\n1,1\n", three_items()); }),
            "sheet.csv:3: no column 'item'");
  EXPECT_THAT(failure_of([] { read("item,label\ng,\"1\n", three_items()); }),
              StartsWith("sheet.csv:2: "));
  EXPECT_THAT(failure_of([] { read("item,label\ng,1\xFF\n", three_items()); }),
              StartsWith("sheet.csv:2: "));
}

}  // namespace
}  // namespace l2a
