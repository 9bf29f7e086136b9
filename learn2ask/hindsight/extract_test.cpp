#include "hindsight/extract.h"

#include <map>
#include <optional>
#include <set>

#include <gtest/gtest.h>

#include "base/rng.h"
#include "hindsight/reply.h"
#include "hindsight/testing.h"

namespace l2a {
namespace {

TEST(ReplyKind, IsToldApartInEnglishAndChinese) {
  const struct {
    const char* sentence;
    ReplyKind kind;
  } cases[] = {
      {"Three days.", ReplyKind::kFact},
      {"Yes.", ReplyKind::kFact},
      {"no", ReplyKind::kFact},
      {"It is.", ReplyKind::kFact},
      {"34", ReplyKind::kFact},
      {"I know how to do that.", ReplyKind::kFact},
      {"I don't know, maybe three days.", ReplyKind::kFact},
      {"Not sure, but I think it was Tuesday.", ReplyKind::kFact},
      {"When I lean forward, it gets better.", ReplyKind::kFact},
      {"My daughter, who has just been having a cough for two weeks.", ReplyKind::kFact},
      {"My sister, who's 15 years older than I am, had a heart attack.", ReplyKind::kFact},
      {"It's 97, no, it's 448, can you be faster please", ReplyKind::kFact},
      {"No, what should I do now?", ReplyKind::kFact},
      {"I don't know what the word means, but my knee is red.", ReplyKind::kFact},
      {"It hums, I don't know why.", ReplyKind::kFact},
      {"I forgot the name but it is blue", ReplyKind::kFact},
      {"I'm not aware of any allergies.", ReplyKind::kFact},
      {"In the morning I'm confused.", ReplyKind::kFact},
      {"I don't know.", ReplyKind::kUnknown},
      {"No, I'm not sure.", ReplyKind::kUnknown},
      {"I'm not sure, sorry.", ReplyKind::kUnknown},
      {"No idea, to be honest.", ReplyKind::kUnknown},
      {"I really couldn't say.", ReplyKind::kUnknown},
      {"Hard to say, I haven't paid attention.", ReplyKind::kUnknown},
      {"Not sure, thanks for your help.", ReplyKind::kUnknown},
      {"I don’t know when it started", ReplyKind::kUnknown},
      {"I forgot.", ReplyKind::kUnknown},
      {"I can't remember, though.", ReplyKind::kUnknown},
      {"I don't even know.", ReplyKind::kUnknown},
      {"I don't know how to check that.", ReplyKind::kAsksBack},
      {"I have no idea what a fuse is.", ReplyKind::kAsksBack},
      {"Sorry, I don't know how to check that.", ReplyKind::kAsksBack},
      {"Unfortunately, I don't know how to check that.", ReplyKind::kAsksBack},
      {"I don't even know where it is.", ReplyKind::kAsksBack},
      {"I'm not knowledgeable about fuses.", ReplyKind::kAsksBack},
      {"I'm not aware of any way to check it.", ReplyKind::kAsksBack},
      {"I've never heard about fuses.", ReplyKind::kAsksBack},
      {"Sorry, I'm confused.", ReplyKind::kAsksBack},
      {"Not sure, how do I see it?", ReplyKind::kAsksBack},
      {"I've had a headache for three days, what should I take?", ReplyKind::kAsksBack},
      {"If it isn't working, what should I do?", ReplyKind::kAsksBack},
      {"What do you mean?", ReplyKind::kAsksBack},
      {"OK, what do you mean?", ReplyKind::kAsksBack},
      {"Thanks, but how do I do that?", ReplyKind::kAsksBack},
      {"I'd like to know more.", ReplyKind::kAsksBack},
      {"I don't understand.", ReplyKind::kAsksBack},
      {"Thanks a lot!", ReplyKind::kNothing},
      {"OK, thank you, doc.", ReplyKind::kNothing},
      {"Sounds good, I will.", ReplyKind::kNothing},
      {"Um.", ReplyKind::kNothing},
      {"Umm.", ReplyKind::kNothing},
      {"...", ReplyKind::kNothing},
      {"", ReplyKind::kNothing},
      {"三天了", ReplyKind::kFact},
      {"是的", ReplyKind::kFact},
      {"没有", ReplyKind::kFact},
      {"什么都没吃", ReplyKind::kFact},
      {"有几天了", ReplyKind::kFact},
      {"没多久", ReplyKind::kFact},
      {"不知道但是很疼", ReplyKind::kFact},
      {"不知道", ReplyKind::kUnknown},
      {"记不清了", ReplyKind::kUnknown},
      {"吃什么药好", ReplyKind::kAsksBack},
      {"什么意思？", ReplyKind::kAsksBack},
      {"几天了？", ReplyKind::kAsksBack},
      {"谢谢医生", ReplyKind::kNothing},
      {"好的，谢谢", ReplyKind::kNothing},
      {"嗯嗯", ReplyKind::kFact},
      {"Yeah.", ReplyKind::kFact},
      {"Good.", ReplyKind::kFact},
  };
  for (const auto& c : cases)
    EXPECT_EQ(reply_kind(c.sentence, shipped_forms()), c.kind) << c.sentence;
}

TEST(ContentWords, LeaveOutFunctionWordsAndPairUnspacedCharacters) {
  using Words = std::vector<std::string>;
  EXPECT_EQ(content_words("It's the IGNITION switch, I think.", shipped_forms()),
            (Words{"ignition", "switch"}));
  EXPECT_EQ(content_words("我发烧三天了", shipped_forms()), (Words{"发烧", "烧三", "三天"}));
  EXPECT_EQ(content_words("疼 aspirin 很疼", shipped_forms()), (Words{"疼", "aspirin", "疼"}));
  EXPECT_EQ(content_words("Yes, it is.", shipped_forms()), Words{});
  EXPECT_EQ(content_words("没有", shipped_forms()), Words{});
  EXPECT_EQ(content_words("沒有", shipped_forms()), Words{});
  EXPECT_EQ(content_words("No, nothing like that.", shipped_forms()), Words{});
  EXPECT_EQ(content_words("I don't think so.", shipped_forms()), Words{});
  EXPECT_EQ(content_words("Umm, not at all.", shipped_forms()), Words{});
  EXPECT_EQ(content_words("I don't smoke.", shipped_forms()), (Words{"don't", "smoke"}));
  EXPECT_EQ(content_words("No fever.", shipped_forms()), (Words{"no", "fever"}));
}

TEST(KnownQuestions, ListsWhatWasAskedAndAnsweredInTheContext) {
  const Session session =
      session_of({"u: It broke.", "a: How old is it?", "u: What do you mean?", "a: In years.",
                  "u: Ten.", "a: Any noise? Any smell?", "u: No. I don't know.", "a: Is it hot?",
                  "u: Yes.", "a: Replace it."});
  const auto turns = turns_of(session);
  EXPECT_TRUE(known_questions(turns, 0, shipped_forms()).empty());
  EXPECT_TRUE(known_questions(turns, 3, shipped_forms()).empty());
  const auto known = known_questions(turns, 7, shipped_forms());
  ASSERT_EQ(known.size(), 3u);
  EXPECT_EQ(known[0].question, "How old is it?");
  EXPECT_EQ(known[0].answer, "Ten.");
  EXPECT_EQ(known[1].question, "Any noise?");
  EXPECT_EQ(known[1].answer, "No.");
  EXPECT_FALSE(known[1].unknown);
  EXPECT_EQ(known[2].answer, "I don't know.");
  EXPECT_TRUE(known[2].unknown);
  EXPECT_EQ(known_questions(turns, 9, shipped_forms()).size(), 4u);
}

// A scripted session: what each turn does is drawn first, its text follows from it. The reference
// below works on what was drawn and never looks at text.
struct Move {
  bool expert = false;
  std::string text;
  std::vector<size_t> asks;                       // expert: slots asked, none: says something
  std::map<size_t, std::optional<size_t>> tells;  // user: slot -> value; nullopt: doesn't know
  std::set<size_t> states;                        // user: values stated, asked for or not
  bool answers = false;
};

std::string question_about(size_t slot) { return "What is your slot" + std::to_string(slot) + "?"; }
std::string value_text(size_t value) { return "It is val" + std::to_string(value) + "."; }

class Script {
 public:
  explicit Script(uint64_t seed) : rng_(seed) {
    Move opening;
    if (rng_.chance(0.5)) {
      opening = volunteer();
    } else {
      opening.text = "Hello.";
    }
    moves.push_back(opening);
    for (uint64_t n = 1 + rng_.below(7); n > 0; --n) {
      moves.push_back(expert());
      if (n > 1 || rng_.chance(0.3)) moves.push_back(user());
    }
  }
  std::vector<Move> moves;

 private:
  Move volunteer() {
    Move move;
    const size_t value = rng_.below(6);
    move.text = value_text(value);
    move.states = {value};
    return move;
  }
  Move expert() {
    Move move;
    move.expert = true;
    if (rng_.chance(0.2)) {
      move.text = "I see.";
      return move;
    }
    for (uint64_t n = 1 + rng_.below(2); n > 0; --n) {
      const size_t slot = rng_.below(5);
      if (!move.asks.empty() && move.asks[0] == slot) continue;
      move.asks.push_back(slot);
      move.text += (move.text.empty() ? "" : " ") + question_about(slot);
    }
    return move;
  }
  // The slots open at the end of `moves`: those of the last asking turn, unless answered since.
  std::vector<size_t> open() const {
    for (size_t i = moves.size(); i-- > 0;) {
      if (moves[i].answers) return {};
      if (!moves[i].asks.empty()) return moves[i].asks;
    }
    return {};
  }
  Move user() {
    Move move;
    const auto slots = open();
    if (slots.empty() || rng_.chance(0.3)) {
      move.text = rng_.chance(0.5) ? "What do you mean?" : "Thanks.";
      return move;
    }
    move.answers = true;
    for (const size_t slot : slots) {
      const bool unknown = rng_.chance(0.25);
      const size_t value = rng_.below(30);
      move.text += move.text.empty() ? "" : " ";
      move.text += unknown ? "I don't know." : value_text(value);
      move.tells[slot] = unknown ? std::nullopt : std::optional(value);
      if (!unknown) move.states.insert(value);
    }
    return move;
  }
  Rng rng_;
};

// I*_t read straight off the definition: for each later answer, was its value or its slot's answer
// in C_t? Its question is the first of the unbroken row of asking turns that name the slot.
std::vector<std::string> reference_target(const std::vector<Move>& moves, size_t t) {
  std::set<size_t> stated, answered;
  for (size_t i = 0; i < t; ++i) {
    stated.insert(moves[i].states.begin(), moves[i].states.end());
    for (const auto& [slot, value] : moves[i].tells) answered.insert(slot);
  }
  std::vector<std::string> target;
  for (size_t a = t; a < moves.size(); ++a) {
    if (!moves[a].answers) continue;
    size_t asked = a;
    while (moves[asked].asks.empty()) --asked;
    for (const size_t slot : moves[asked].asks) {
      const auto value = moves[a].tells.at(slot);
      if (!value || stated.contains(*value) || answered.contains(slot)) continue;
      size_t first = asked;
      for (size_t i = asked; i-- > 0 && !moves[i].answers;) {
        if (moves[i].asks.empty()) continue;
        if (std::find(moves[i].asks.begin(), moves[i].asks.end(), slot) == moves[i].asks.end())
          break;
        first = i;
      }
      target.push_back(std::to_string(first) + ">" + std::to_string(a) + " " +
                       question_about(slot) + " " + value_text(*value));
    }
  }
  return target;
}

// An expert's turn asks when it names a slot, or when the user then states a value never said.
bool reference_asks(const std::vector<Move>& moves, size_t t) {
  if (!moves[t].asks.empty()) return true;
  if (t + 1 == moves.size()) return false;
  std::set<size_t> fresh = moves[t + 1].states;
  for (size_t i = 0; i < t; ++i) {
    for (const size_t value : moves[i].states) fresh.erase(value);
  }
  return !fresh.empty();
}

TEST(RuleExtractor, AgreesWithTheDefinitionOnScriptedSessions) {
  size_t items = 0, stops = 0, censored = 0;
  for (uint64_t seed = 0; seed < 4000; ++seed) {
    const Script script(seed);
    Session session{.id = "s", .system = {}, .messages = {}, .tail = {}, .stop_seen = {}};
    for (const Move& move : script.moves) {
      session.messages.push_back({move.expert ? Role::kAssistant : Role::kUser, move.text, {}});
    }
    const auto labelled = label_by_rules(session);
    const size_t last = script.moves.size() - 1;
    ASSERT_EQ(labelled.samples.size(), script.moves.size() / 2);
    const size_t last_expert = labelled.samples.back().turn;
    for (const Sample& sample : labelled.samples) {
      const bool asks = reference_asks(script.moves, sample.turn);
      const bool final_turn = sample.turn == last_expert;
      const bool stop = sample.turn == last && !asks;
      stops += stop;
      censored += final_turn && asks;
      ASSERT_EQ(!sample.decision, final_turn && asks) << seed;
      ASSERT_EQ(sample.decision && sample.decision->value == Decision::kStop, stop) << seed;

      std::vector<std::string> target;
      for (const Item& item : *sample.wanted) {
        target.push_back(std::to_string(item.question_turn) + ">" +
                         std::to_string(item.answer_turn) + " " + item.question + " " + item.fact);
        const std::string& source = session.messages[item.source_message].text;
        ASSERT_EQ(item.source_message, item.source_last_message);
        ASSERT_EQ(source.substr(item.source_begin, item.source_end - item.source_begin), item.fact);
      }
      ASSERT_EQ(target, reference_target(script.moves, sample.turn))
          << "seed " << seed << " turn " << sample.turn;
      items += target.size();
    }
  }
  // The sweep reaches all cases.
  EXPECT_GT(items, 10000u);
  EXPECT_GT(stops, 300u);
  EXPECT_GT(censored, 1000u);
}

TEST(KnownQuestions, DependOnTheContextAlone) {
  for (uint64_t seed = 0; seed < 300; ++seed) {
    const Script script(seed);
    std::vector<Turn> turns;
    for (const Move& move : script.moves) {
      turns.push_back({move.expert ? Role::kAssistant : Role::kUser, move.text, turns.size(), 1});
    }
    const auto all = known_questions(turns, turns.size(), shipped_forms());
    for (size_t t = 0; t < turns.size(); ++t) {
      const auto known = known_questions(turns, t, shipped_forms());
      ASSERT_LE(known.size(), all.size());
      for (size_t i = 0; i < known.size(); ++i) {
        EXPECT_EQ(known[i].question, all[i].question) << seed;
        EXPECT_EQ(known[i].answer, all[i].answer) << seed;
      }
    }
  }
}

}  // namespace
}  // namespace l2a
