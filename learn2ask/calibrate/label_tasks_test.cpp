#include "calibrate/label_tasks.h"

#include <cmath>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/testing.h"
#include "calibrate/testing.h"
#include "hindsight/testing.h"
#include "llm/testing.h"

namespace l2a {
namespace {

using ::testing::HasSubstr;

std::string shipped(const std::string& prompt) {
  return read_file(std::string(L2A_SOURCE_DIR "/prompts/") + prompt);
}
// With other words in it, for a model that reads them.
std::string with_words(std::string prompt, const std::string& added) {
  const std::string part = "[system]\n";
  return prompt.insert(prompt.find(part) + part.size(), added + " ");
}

// Says the content that stands in the question, "says 0.5"; where none stands there, nothing that
// can be read, and where "is down" stands there it is.
ScriptedClient obedient_judge() {
  return ScriptedClient([](const ChatRequest& request) -> Result<ChatReply> {
    const std::string& told = request.messages.at(1).content;
    for (const char* content : {"0", "0.5", "1"}) {
      if (told.find(std::string("\"says ") + content + "\"") == told.npos) continue;
      return ChatReply{.text = std::string(R"({"reason": "told so", "format": 1, "content": )") +
                               content + "}"};
    }
    if (told.find("\"is down\"") != told.npos) return Error{ErrorCode::kUnavailable, "503: down"};
    return ChatReply{.text = "I am sorry"};
  });
}

// People's grade of an item and what the judge says, each with each; an item with which it fails;
// and some that are no task for a grader.
struct Graded {
  Graded() {
    for (const double grade : {0.0, 0.5, 1.0}) {
      for (const char* verdict : {"0", "0.5", "1"}) {
        add(grade, verdict, std::abs(grade - std::stod(verdict)));
      }
    }
    add(0.5, "nothing", 1);
    items.insert(items.begin() + 2, grade_item("nobody graded it"));
    items.push_back(stop_item("stop", Decision::kStop));
    items.push_back(extract_item("extract", {"34"}));
    labels.put(GoldLabel{.item = "nobody graded it", .by = "Ann", .unsure = true});
    labels.put(decided("stop", "Ann", Decision::kStop));
    labels.put(judged("extract", "Ann", {true}));
  }
  void add(double grade, const std::string& verdict, double loss) {
    items.push_back(
        grade_item(std::to_string(losses.size()), std::to_string(losses.size()) + "/1"));
    items.back().reply = "says " + verdict;
    labels.put(graded(items.back().id, "Ann", grade));
    losses.push_back(loss);
    grades.push_back(grade);
  }

  std::vector<CalibrationItem> items;
  GoldLabels labels;
  std::vector<double> losses, grades;  // of the items that are
};

TEST(GradingTask, LosesTheDistanceFromPeoplesGradeAndAllWithoutAVerdict) {
  const Graded graded_items;
  auto judge = obedient_judge();
  GradingTask task({&judge}, {}, graded_items.items, graded_items.labels);
  const std::vector<size_t> in_some_order = {9, 0, 4, 8, 1, 2, 7, 6, 5, 3};
  const auto outcomes = task.run(shipped("grading/question.en.txt"), in_some_order);
  ASSERT_EQ(outcomes.size(), 10u);
  for (size_t i = 0; i < 10; ++i) {
    EXPECT_EQ(outcomes[i].loss, graded_items.losses[in_some_order[i]]) << i;
    EXPECT_THAT(outcomes[i].said, HasSubstr(i == 0 ? "no verdict: " : "told so"));
  }
}

TEST(GradingTask, TakesNoOutageForAMistakeOfThePrompt) {
  Graded graded_items;
  graded_items.items[1].reply = "is down";
  auto judge = obedient_judge();
  GradingTask task({&judge}, {}, graded_items.items, graded_items.labels);
  const std::vector<size_t> all = {0, 1, 2, 3, 4};
  EXPECT_THAT(failure_of([&] { task.run(shipped("grading/question.en.txt"), all); }),
              HasSubstr("503: down"));
}

// A wrong path in llm.url would count against the prompt, and stay in the search's journal.
TEST(GradingTask, TakesNoCallsThatAreAllRefusedForMistakesOfThePrompt) {
  const Graded graded_items;
  ScriptedClient refuses([](const ChatRequest&) -> Result<ChatReply> {
    return Error{ErrorCode::kInvalidInput, "404: no such path"};
  });
  GradingTask task({&refuses}, {}, graded_items.items, graded_items.labels);
  const std::vector<size_t> many = {1, 2, 3, 4, 5}, few = {1, 2, 3, 4};
  EXPECT_THAT(failure_of([&] { task.run(shipped("grading/question.en.txt"), many); }),
              HasSubstr("item 1: no answer: 404: no such path"));
  EXPECT_EQ(task.run(shipped("grading/question.en.txt"), few)[0].loss, 1);
}

// Those that nobody is asked about say nothing of the endpoint.
TEST(GradingTask, CountsNoItemWhereNothingIsOpenForAnAnswer) {
  Graded graded_items;
  graded_items.items[0].open.clear();
  ScriptedClient refuses([](const ChatRequest&) -> Result<ChatReply> {
    return Error{ErrorCode::kInvalidInput, "404: no such path"};
  });
  GradingTask task({&refuses}, {}, graded_items.items, graded_items.labels);
  const std::vector<size_t> six = {0, 1, 2, 3, 4, 5};
  EXPECT_THAT(failure_of([&] { task.run(shipped("grading/question.en.txt"), six); }),
              HasSubstr("404: no such path"));
}

// Such as one that a filter of the endpoint stops whatever the prompt: nothing mends that.
TEST(GradingTask, LosesAllOnAnItemThatIsRefusedWhereOthersAreNot) {
  Graded graded_items;
  graded_items.items[1].reply = "is filtered";
  ScriptedClient filters([](const ChatRequest& request) -> Result<ChatReply> {
    if (request.messages.at(1).content.find("\"is filtered\"") != std::string::npos) {
      return Error{ErrorCode::kInvalidInput, "400: content filter"};
    }
    return ChatReply{.text = R"({"reason": "so", "format": 1, "content": 0})"};
  });
  GradingTask task({&filters}, {}, graded_items.items, graded_items.labels);
  const std::vector<size_t> both = {0, 1};
  const auto outcomes = task.run(shipped("grading/question.en.txt"), both);
  EXPECT_EQ(outcomes[0].loss, 0);
  EXPECT_EQ(outcomes[1].loss, 1);
  EXPECT_THAT(outcomes[1].said, HasSubstr("400: content filter"));
}

TEST(GradingTask, HasTheItemsThatPeopleGradedByGrade) {
  const Graded graded_items;
  auto judge = obedient_judge();
  const GradingTask task({&judge}, {}, graded_items.items, graded_items.labels);
  const auto items = task.search_items();
  ASSERT_EQ(items.size(), 10u);
  for (size_t i = 0; i < 10; ++i) {
    EXPECT_EQ(items[i].session, std::to_string(i));
    for (size_t j = 0; j < 10; ++j) {
      EXPECT_EQ(items[i].stratum == items[j].stratum,
                graded_items.grades[i] == graded_items.grades[j]);
    }
  }
}

TEST(GradingTask, TriesThePromptThatItIsGiven) {
  const Graded graded_items;
  auto judge = obedient_judge();
  GradingTask task({&judge}, {}, graded_items.items, graded_items.labels);
  const std::vector<size_t> items = {1};
  task.run(with_words(shipped("grading/question.zh.txt"), "Be strict."), items);
  EXPECT_THAT(judge.requests.at(0).messages.at(0).content, HasSubstr("Be strict. "));
  EXPECT_THAT(failure_of([&] { task.run("Be strict.", items); }), HasSubstr("prompt"));
}

TEST(GradingTask, DescribesAMistakeInOneLineOfJson) {
  CalibrationItem item = grade_item("g");
  item.context = {user_says("I \"cough\".\nHelp"), expert_says("Since\twhen?")};
  GoldLabels labels;
  labels.put(graded("g", "Ann", 0.5));
  const std::vector<CalibrationItem> items = {grade_item("nobody graded it"), item};
  const GradingTask task({}, {}, items, labels);
  const std::string line = task.describe({.item = 0, .outcome = {0.5, "1: so\nthere"}});
  EXPECT_EQ(line.find('\n'), std::string::npos);
  const Json json = parsed(line);
  EXPECT_EQ(
      dump_json(json.at("conversation")),
      R"([{"from":"user","text":"I \"cough\".\nHelp"},{"from":"expert","text":"Since\twhen?"}])");
  EXPECT_THAT(line, HasSubstr("How old are you?"));
  EXPECT_THAT(line, HasSubstr("34"));
  EXPECT_EQ(json.at("message"), "Your age?");
  EXPECT_EQ(json.at("people_say"), 0.5);
  EXPECT_EQ(json.at("the_model_said"), "1: so\nthere");
}

// The same conversation under the name `id`.
Session session(const std::string& id) {
  Session made = session_of({"u: I cough.",          // message 1, turn 0
                             "a: How old are you?",  // 2
                             "u: 34, and I smoke.",  // 3
                             "a: Any fever?",        // 4
                             "u: No fever, 岁 me.",  // 5
                             "a: Take this."});
  made.id = id;
  made.messages[0].text += " " + id;
  return made;
}

Json pointed(int asked, int answered, const std::string& quotation) {
  return {{"question_message", asked},
          {"question", asked == 2 ? "How old are you?" : "Any fever?"},
          {"answer_message", answered},
          {"quotation", quotation},
          {"unknown", false}};
}
std::string answers(const std::vector<Json>& claims) { return dump_json({{"answers", claims}}); }

const Json kAge = pointed(2, 3, "34"), kSmoke = pointed(2, 3, "I smoke"),
           kFever = pointed(4, 5, "no fever");

// The item of a turn, and of a person who holds these words of the user right and no others.
struct Read {
  Read(const std::string& id, size_t turn, const std::vector<std::string>& said) {
    const auto turns = turns_of(session(id));
    item.context_id = id + "/" + std::to_string(turn);
    item.id = "item " + item.context_id;
    for (size_t t = 0; t < turns.size(); ++t) {
      (t < turn ? item.context : item.future).push_back(turns[t]);
    }
    label = judged(item.id, "Bea", {});
    for (const std::string& text : said) {
      item.claims.push_back({.question = "?", .fact = text, .said = said_at(item, text)});
      label.claims->push_back(true);
    }
  }
  CalibrationItem item{.id = "", .kind = ItemKind::kExtract, .context_id = "", .context = {}};
  GoldLabel label;
};

// The task of these items, with a model that says `text` of every session, or is down.
struct Extraction {
  Extraction(const std::vector<Read>& reads, const std::string& text)
      : client([text](const ChatRequest&) -> Result<ChatReply> {
          if (text.empty()) return Error{ErrorCode::kUnavailable, "503: down"};
          return ChatReply{.text = text};
        }) {
    for (const Read& read : reads) {
      items.push_back(read.item);
      labels.put(read.label);
    }
  }
  ExtractionTask task() { return {client, {}, {}, shipped_forms(), items, labels, sessions}; }
  Outcome outcome() {
    const std::vector<size_t> first = {0};
    return task().run(shipped("extraction/session.en.txt"), first).at(0);
  }

  ScriptedClient client;
  std::vector<CalibrationItem> items = {};
  GoldLabels labels = {};
  std::vector<Session> sessions = {session("a"), session("b")};
};

TEST(ExtractionTask, TakesNoOutageForAMistakeOfThePrompt) {
  const std::string down;
  EXPECT_THAT(failure_of([&] { Extraction({Read("a", 1, {"34"})}, down).outcome(); }),
              HasSubstr("503: down"));
}

// Read turn by turn, one turn's bad answer does not hide that another had none.
TEST(ExtractionTask, TakesNoOutageOfAnotherTurnForAMistakeOfThePrompt) {
  Extraction read({Read("a", 1, {"34"})}, "");
  for (const ErrorCode code : {ErrorCode::kUnavailable, ErrorCode::kInvalidInput}) {
    int calls = 0;
    ScriptedClient client([&](const ChatRequest&) -> Result<ChatReply> {
      if (++calls > 2) return Error{code, "no answer came"};
      return ChatReply{.text = "I am sorry"};
    });
    LlmExtractionOptions by_turn;
    by_turn.per = "turn";
    ExtractionTask task(client, by_turn, {}, shipped_forms(), read.items, read.labels,
                        read.sessions);
    const std::vector<size_t> first = {0};
    std::vector<Outcome> outcomes;
    const auto run = [&] { outcomes = task.run(shipped("extraction/turn.en.txt"), first); };
    if (code == ErrorCode::kUnavailable) {
      EXPECT_THAT(failure_of(run), HasSubstr("no answer came"));
    } else {  // refused: of that turn alone
      run();
      EXPECT_EQ(outcomes.at(0).loss, 1);
    }
  }
}

TEST(ExtractionTask, LosesWhatIsLackingOfF1) {
  const Read two("a", 1, {"34", "No fever"}), one("a", 3, {"No fever"}), none("a", 3, {}),
      stop("a", 5, {});
  const struct {
    Read read;
    std::string text;
    double loss;
  } cases[] = {
      {two, answers({kAge, kFever}), 0},
      {two, answers({kAge}), 1 - 2.0 / 3},                  // 1 right, 1 missed
      {two, answers({kAge, kSmoke, kFever}), 1 - 4.0 / 5},  // 2 right, 1 wrong
      {two, answers({kSmoke}), 1},
      {two, answers({}), 1},
      {two, "I am sorry", 1},
      {one, answers({kAge, kFever}), 0},  // the age is known by then
      {one, answers({kAge}), 1},
      {none, answers({kAge}), 0},  // nothing found where there is nothing
      {none, answers({kFever}), 1},
      {none, "I am sorry", 1},
      {stop, answers({kAge, kFever}), 0},
  };
  for (const auto& c : cases) {
    EXPECT_NEAR(Extraction({c.read}, c.text).outcome().loss, c.loss, 1e-12)
        << c.read.item.id << ": " << c.text;
  }
  EXPECT_EQ(Extraction({two}, answers({kAge, kFever})).outcome().said, R"(["34","No fever"])");
}

TEST(ExtractionTask, ReadsASessionOnceForAllItsItems) {
  Extraction extraction({Read("a", 1, {"34"}), Read("b", 1, {"No fever"}), Read("a", 3, {})},
                        answers({kAge}));
  auto task = extraction.task();
  const std::vector<size_t> in_some_order = {1, 2, 0};
  const auto outcomes =
      task.run(with_words(shipped("extraction/session.en.txt"), "Be strict."), in_some_order);
  ASSERT_EQ(outcomes.size(), 3u);
  EXPECT_EQ(outcomes[0].loss, 1);
  EXPECT_EQ(outcomes[1].loss, 0);
  EXPECT_EQ(outcomes[2].loss, 0);
  ASSERT_EQ(extraction.client.requests.size(), 2u);
  EXPECT_THAT(extraction.client.requests[0].messages.at(0).content, HasSubstr("Be strict. "));
}

TEST(ExtractionTask, TakesTheFirstCompleteLabelOfAnItem) {
  Extraction extraction({Read("a", 1, {"34", "I smoke"}), Read("b", 1, {"34"})}, answers({kAge}));
  const std::string both = extraction.items[0].id, unfinished = extraction.items[1].id;
  extraction.labels.put(judged(both, "Ann", {true, std::nullopt}));  // not complete
  extraction.labels.put(judged(both, "Cem", {false, false}));        // after Bea
  extraction.labels.put(judged(unfinished, "Bea", {std::nullopt}));
  EXPECT_EQ(extraction.task().search_items().size(), 1u);
  EXPECT_NEAR(extraction.outcome().loss, 1 - 2.0 / 3, 1e-12);
}

TEST(ExtractionTask, SortsItemsByHowMuchThereIsToFind) {
  Extraction extraction({Read("a", 1, {}), Read("a", 3, {}), Read("b", 1, {"34"}),
                         Read("b", 3, {"No", "fever", "me"})},
                        "");
  const auto items = extraction.task().search_items();
  ASSERT_EQ(items.size(), 4u);
  EXPECT_EQ(items[0].session, "a");
  EXPECT_EQ(items[3].session, "b");
  EXPECT_EQ(items[0].stratum, items[1].stratum);
  EXPECT_NE(items[0].stratum, items[2].stratum);
  EXPECT_NE(items[2].stratum, items[3].stratum);
}

TEST(ExtractionTask, DescribesAMistakeInOneLineOfJson) {
  Extraction extraction({Read("a", 3, {"No fever", "岁 me"})}, "");
  const std::string line =
      extraction.task().describe({.item = 0, .outcome = {0.5, R"(["No fever"])"}});
  EXPECT_EQ(line.find('\n'), std::string::npos);
  const Json json = parsed(line);
  EXPECT_EQ(json.at("conversation_before").size(), 3u);
  EXPECT_EQ(json.at("conversation_after").size(), 3u);
  EXPECT_EQ(dump_json(json.at("people_say")), R"(["No fever","岁 me"])");
  EXPECT_EQ(json.at("the_model_said"), R"(["No fever"])");
}

TEST(ExtractionTask, RefusesAnItemWithoutItsSession) {
  Extraction extraction({Read("a", 1, {"34"}), Read("gone", 3, {})}, "");
  EXPECT_THAT(failure_of([&] { extraction.task(); }),
              ::testing::AllOf(HasSubstr("item gone/3"), HasSubstr("'gone'")));
  extraction.labels = {};  // nobody judged it: it is no item of the task
  EXPECT_THAT(extraction.task().search_items(), ::testing::IsEmpty());
}

}  // namespace
}  // namespace l2a
