#include "calibrate/calibration_item.h"

#include <functional>
#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/file.h"
#include "base/testing.h"
#include "calibrate/testing.h"
#include "hindsight/testing.h"

namespace l2a {
namespace {

using ::testing::HasSubstr;
using ::testing::MatchesRegex;

constexpr const char* kGradeLine =
    R"({"id":"g-1","kind":"grade","context":"12/3","turns":[{"from":"user","text":"I cough."},)"
    R"({"from":"expert","text":"Since\nwhen?"}],"open":[{"question":"Your age?","fact":"34 岁"}],)"
    R"("reply":"How old?","verdicts":{"llm":0.5,"match":null},"why":"judges differ"})";
// Turn 2 is the user's, 9 bytes long: 3 and then two characters of 3 bytes each.
constexpr const char* kExtractLine =
    R"({"id":"e-1","kind":"extract","context":"a/b/1","turns":[{"from":"user","text":"Hi."}],)"
    R"("future":[{"from":"expert","text":"Your age?"},{"from":"user","text":"34 岁。"}],)"
    R"("items":[{"question":"Your age?","fact":"34 岁","turn":2,"begin":0,"end":6}],"why":""})";
constexpr const char* kStopLine =
    R"({"id":"s-1","kind":"stop","context":"12/1","turns":[{"from":"user","text":"Hi."}],)"
    R"("future":[{"from":"expert","text":"Bye."}],"decision":"stop","why":"one of stops"})";

CalibrationItem item_of(const std::string& line) {
  return calibration_item_from_json(parsed(line)).value_or_throw();
}

TEST(CalibrationItem, IsTheSameLineAgain) {
  for (const char* line : {kGradeLine, kExtractLine, kStopLine}) {
    EXPECT_EQ(dump_json(to_json(item_of(line))), line);
  }
  Json undecided = parsed(kStopLine);
  undecided["decision"] = nullptr;
  EXPECT_EQ(dump_json(to_json(item_of(dump_json(undecided)))), dump_json(undecided));
}

TEST(CalibrationItem, HoldsWhatTheLineSays) {
  const CalibrationItem grade = item_of(kGradeLine);
  EXPECT_EQ(grade.kind, ItemKind::kGrade);
  EXPECT_EQ(grade.session(), "12");
  EXPECT_EQ(grade.context.at(1), expert_says("Since\nwhen?"));
  EXPECT_EQ(grade.open.at(0).question, "Your age?");
  EXPECT_EQ(grade.open.at(0).fact, "34 岁");
  EXPECT_EQ(grade.verdicts.at("llm"), 0.5);
  EXPECT_EQ(grade.verdicts.at("match"), std::nullopt);
  const CalibrationItem extract = item_of(kExtractLine);
  EXPECT_EQ(extract.session(), "a/b");
  EXPECT_EQ(extract.claims.at(0).said, (SaidRange{.turn = 2, .bytes = {0, 6}}));
  EXPECT_EQ(extract.claims.at(0).said, said_at(extract, extract.claims[0].fact));
  EXPECT_EQ(item_of(kStopLine).decision, Decision::kStop);
}

// What is wrong with the line once the keys of `patch` are put in its place; null takes one away.
std::string wrong_with(const char* line, const std::string& patch) {
  Json patched = parsed(line);
  patched.merge_patch(parsed(patch));
  const auto item = calibration_item_from_json(patched);
  return item ? "nothing" : item.error().message;
}

TEST(CalibrationItem, RefusesWhatIsNoneAndNamesTheKey) {
  const struct {
    const char *line, *patch, *key;
  } cases[] = {
      {kGradeLine, R"({"id": null})", "id"},
      {kGradeLine, R"({"id": ""})", "id"},
      {kGradeLine, R"({"id": 7})", "id"},
      {kGradeLine, R"({"kind": null})", "kind"},
      {kGradeLine, R"({"kind": "judge"})", "kind"},
      {kGradeLine, R"({"context": null})", "context"},
      {kGradeLine, R"({"turns": null})", "turns"},
      {kGradeLine, R"({"turns": "Hi."})", "turns"},
      {kGradeLine, R"({"turns": [{"from": "doctor", "text": "x"}]})", "from"},
      {kGradeLine, R"({"turns": [{"from": "user"}]})", "text"},
      {kGradeLine, R"({"open": null})", "open"},
      {kGradeLine, R"({"open": [{"question": "q"}]})", "fact"},
      {kGradeLine, R"({"reply": null})", "reply"},
      {kGradeLine, R"({"verdicts": [1]})", "verdicts"},
      {kGradeLine, R"({"verdicts": {"llm": "1"}})", "verdicts"},
      {kGradeLine, R"({"verdicts": {"llm": 1.5}})", "verdicts"},
      {kGradeLine, R"({"verdicts": {"llm": -0.5}})", "verdicts"},
      {kGradeLine, R"({"verdicts": {"llm": 1e300}})", "verdicts"},
      {kGradeLine, R"({"why": 3})", "why"},
      {kExtractLine, R"({"future": null})", "future"},
      {kExtractLine, R"({"future": [{"from": "", "text": "x"}]})", "from"},
      {kExtractLine, R"({"items": null})", "items"},
      {kExtractLine, R"({"items": [{"turn": 2, "begin": 0, "end": 6, "fact": "f"}]})", "question"},
      {kStopLine, R"({"future": 1})", "future"},
      {kStopLine, R"({"future": [{"from": "user", "text": "x"}]})", "future"},
      {kStopLine, R"({"decision": "wait"})", "decision"},
      {kStopLine, R"({"decision": true})", "decision"},
  };
  for (const auto& c : cases) {
    EXPECT_THAT(wrong_with(c.line, c.patch), HasSubstr("'" + std::string(c.key) + "'")) << c.patch;
  }
}

TEST(CalibrationItem, RefusesAClaimOfWhatIsNotWholeTextOfTheFuture) {
  const struct {
    const char *turn, *begin, *end, *key;
  } cases[] = {
      {"0", "0", "1", "turn"},     {"3", "0", "1", "turn"},
      {"-1", "0", "1", "turn"},    {"1.5", "0", "1", "turn"},
      {"1e300", "0", "1", "turn"}, {"\"2\"", "0", "1", "turn"},
      {"2", "-1", "1", "begin"},   {"2", "10", "10", "begin"},
      {"2", "0.5", "1", "begin"},  {"2", "null", "1", "begin"},
      {"2", "0", "10", "end"},     {"2", "0", "18446744073709551616", "end"},
      {"2", "0", "-1e308", "end"}, {"2", "3", "3", "end"},
      {"2", "6", "3", "end"},      {"2", "4", "6", "begin"},
      {"2", "0", "5", "end"},  // through the middle of a character
  };
  for (const auto& c : cases) {
    const std::string patch = std::string(R"({"items": [{"question": "q", "fact": "f", "turn": )") +
                              c.turn + R"(, "begin": )" + c.begin + R"(, "end": )" + c.end + "}]}";
    EXPECT_THAT(wrong_with(kExtractLine, patch), HasSubstr("'" + std::string(c.key) + "'"))
        << patch;
  }
}

using Change = std::function<void(CalibrationItem&)>;

// Ids of the item, and of it after each change alone.
std::vector<std::string> ids_after(const CalibrationItem& item,
                                   const std::vector<Change>& changes) {
  std::vector<std::string> ids = {item_id(item)};
  for (const Change& change : changes) {
    CalibrationItem changed = item;
    change(changed);
    ids.push_back(item_id(changed));
  }
  return ids;
}

TEST(ItemId, IsAnotherForAnythingElseToJudge) {
  const auto grade =
      ids_after(item_of(kGradeLine), {[](auto& item) { item.context_id = "12/5"; },
                                      [](auto& item) { item.context[0].text += " "; },
                                      [](auto& item) { item.context[0].role = Role::kAssistant; },
                                      [](auto& item) { item.context.pop_back(); },
                                      [](auto& item) { item.open[0].question = "Age?"; },
                                      [](auto& item) { item.open[0].fact = "35"; },
                                      [](auto& item) { item.open.push_back(item.open[0]); },
                                      [](auto& item) { item.reply = "How old"; }});
  const auto extract = ids_after(
      item_of(kExtractLine),
      {[](auto& item) { item.future[1].text += "?"; },
       [](auto& item) { item.future.push_back(expert_says("Bye.")); },
       [](auto& item) { item.claims.clear(); }, [](auto& item) { item.claims[0].question = "?"; },
       [](auto& item) { item.claims[0].fact = "34"; },
       [](auto& item) { item.claims[0].said.turn = 1; },
       [](auto& item) { item.claims[0].said.bytes.begin = 3; },
       [](auto& item) { item.claims[0].said.bytes.end = 9; }});
  const auto stop =
      ids_after(item_of(kStopLine), {[](auto& item) { item.future[0].text = "Hello."; }});
  std::set<std::string> distinct;
  for (const auto* ids : {&grade, &extract, &stop}) distinct.insert(ids->begin(), ids->end());
  EXPECT_EQ(distinct.size(), grade.size() + extract.size() + stop.size());
  EXPECT_THAT(grade[0], MatchesRegex("g-[0-9a-f]+"));
  EXPECT_THAT(extract[0], MatchesRegex("e-[0-9a-f]+"));
  EXPECT_THAT(stop[0], MatchesRegex("s-[0-9a-f]+"));
}

TEST(ItemId, IsTheSameWhateverElseIsKnownOfIt) {
  const std::vector<Change> changes = {
      [](auto& item) { item.id = "another"; },
      [](auto& item) { item.verdicts = {{"llm", 0.0}}; },
      [](auto& item) { item.why = "one of many"; },
      [](auto& item) { item.decision = Decision::kContinue; },
      [](auto& item) {  // graders see questions and facts alone
        for (Item& open : item.open) open.source_begin = open.answer_turn = 7;
      },
      [](auto& item) { item = item_of(dump_json(to_json(item))); }};
  for (const char* line : {kGradeLine, kExtractLine, kStopLine}) {
    const auto ids = ids_after(item_of(line), changes);
    EXPECT_THAT(ids, ::testing::Each(ids[0])) << line;
  }
}

TEST(SaidRange, OverlapsWhereSomeByteIsInBoth) {
  std::vector<SaidRange> ranges;
  for (size_t turn = 0; turn < 2; ++turn) {
    for (size_t begin = 0; begin < 5; ++begin) {
      for (size_t end = begin + 1; end < 6; ++end) {
        ranges.push_back({.turn = turn, .bytes = {begin, end}});
      }
    }
  }
  const auto has = [](const SaidRange& range, size_t turn, size_t byte) {
    return range.turn == turn && range.bytes.begin <= byte && byte < range.bytes.end;
  };
  for (const SaidRange& a : ranges) {
    for (const SaidRange& b : ranges) {
      bool shared = false;
      for (size_t byte = 0; byte < 6; ++byte) {
        shared = shared || (has(a, a.turn, byte) && has(b, a.turn, byte));
      }
      EXPECT_EQ(overlap(a, b), shared);
    }
  }
}

TEST(ReadCalibrationItems, NamesTheLineThatIsNone) {
  const TempDir dir;
  const std::string path = dir / "items.jsonl";
  const std::string header = header_of("calibration_items");
  const std::string grade = kGradeLine, stop = kStopLine;
  const auto refusal = [&](const std::string& text) {
    write_file_atomic(path, text);
    return failure_of([&] { read_calibration_items(path); });
  };
  EXPECT_EQ(refusal(header + grade + "\n" + stop + "\n" + grade + "\n"),
            path + ":4: 'id': 'g-1' stands twice");
  EXPECT_THAT(refusal(grade + "\n{\"id\": \"x\"}\n"), HasSubstr(path + ":2: 'kind'"));
  std::string nan = grade;
  nan.replace(nan.find("0.5"), 3, "NaN");
  EXPECT_THAT(refusal(header + nan + "\n"), HasSubstr(path + ":2: "));
  EXPECT_THAT(refusal(header), HasSubstr(path));
  EXPECT_THAT(refusal(""), HasSubstr(path));

  write_file_atomic(path, header + grade + "\n\n" + stop + "\n");
  const auto items = read_calibration_items(path);
  ASSERT_EQ(items.size(), 2u);
  EXPECT_EQ(dump_json(to_json(items[1])), stop);
}

// The log from the first byte of an item's source to the last, a newline between messages.
std::string source_of(const Item& item, const LabelledSession& session) {
  std::string text;
  for (size_t m = item.source_message; m <= item.source_last_message; ++m) {
    std::string message = session.messages[m].text;
    if (m == item.source_last_message) message.resize(item.source_end);
    if (m == item.source_message) message.erase(0, item.source_begin);
    text += (text.empty() ? "" : "\n") + message;
  }
  return text;
}

TEST(SaidRange, IsWhereTheSourceOfAnItemStandsInItsTurn) {
  const std::vector<std::vector<std::string>> sessions = {
      {"u: I cough.", "a: How old are you?", "u: I am 34.", "u: I smoke a lot.",
       "a: Since when do you cough?", "u: For three days.", "a: Rest."},
      {"u: Hello.", "u: It broke.", "a: Hm.", "a: How old is it?", "a: Any noise?", "u: Thanks.",
       "u: Well, ten years. A humming noise.", "a: What colour?", "u: Grün, «très» vert",
       "u: — and a bit of blue", "u: on top.", "a: Replace it."},
      {"u: 我咳嗽。", "a: 多大年纪？", "u: 谢谢。", "u: 三十四岁，", "u: 抽烟。", "a: 多久了？",
       "u: 已经三天了。", "a: 多喝水。"}};
  size_t within_one = 0, over_several = 0, in_later = 0;
  for (const auto& lines : sessions) {
    const LabelledSession session = label_by_rules(lines);
    for (const Sample& sample : session.samples) {
      for (const Item& item : sample.wanted.value()) {
        const SaidRange said = said_range(item, session);
        const Turn& turn = session.turns.at(said.turn);
        EXPECT_EQ(said.turn, item.answer_turn);
        EXPECT_EQ(turn.text.substr(said.bytes.begin, said.bytes.end - said.bytes.begin),
                  source_of(item, session));
        (item.source_message == item.source_last_message ? within_one : over_several) += 1;
        in_later += item.source_message > turn.first_message;
      }
    }
  }
  EXPECT_GT(within_one, 0u);
  EXPECT_GT(over_several, 0u);
  EXPECT_GT(in_later, 0u);
}

}  // namespace
}  // namespace l2a
