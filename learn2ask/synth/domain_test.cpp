#include "synth/domain.h"

#include <map>

#include <gtest/gtest.h>

#include "synth/template.h"
#include "synth/testing.h"
#include "synth/typing.h"

namespace l2a {
namespace {

// A whole domain, a line each, so that a test can replace one line.
const std::vector<std::string> kLines = {
    "domain: tiny",                                  // 1
    "greetings: [Hi.]",                              // 2
    "unsure: [I don't know.]",                       // 3
    "asides: [Hm.]",                                 // 4
    "closings: ['Take {advice}.']",                  // 5
    "referrals: [See a doctor.]",                    // 6
    "general: {ask: [Tell me more], cues: [more]}",  // 7
    "slots:",                                        // 8
    "  age: {ask: [How old], cues: [old], answers: {young: {of: [1..3], say: "
    "['{value}']}, old: {say: [Old.], weight: 2}}}",  // 9
    "  sex: {ask: [Sex], cues: [sex], answers: {male: {say: [M]}, female: {say: [F], "
    "urgent: true}}, sure: true}",  // 10
    "  baby: {when: {sex: [female]}, ask: [Baby], cues: [baby], answers: {any: {say: "
    "[B]}}}",                                                                       // 11
    "complaints:",                                                                  // 12
    "  pain: {say: [Ouch.], slots: [age, sex, baby], advice: [tea]}",               // 13
    "  cramp: {say: [Argh.], known: {sex: female}, slots: [baby], advice: [tea]}",  // 14
};

std::string with_line(size_t number, const std::string& line) {
  std::string text;
  for (size_t i = 0; i < kLines.size(); ++i) text += (i + 1 == number ? line : kLines[i]) + "\n";
  return text;
}

TEST(ParseDomain, ReadsEverything) {
  const Domain d = parse_domain(with_line(0, ""), "tiny.yaml");
  EXPECT_EQ(d.name, "tiny");
  ASSERT_EQ(d.slots.size(), 3u);
  EXPECT_EQ(d.slots[0].classes[0].of, (std::vector<std::string>{"1", "2", "3"}));
  EXPECT_EQ(d.slots[0].classes[1].weight, 2);
  EXPECT_TRUE(d.slots[0].may_be_unsure);
  EXPECT_FALSE(d.slots[1].may_be_unsure);
  EXPECT_TRUE(d.slots[1].classes[1].urgent);
  ASSERT_EQ(d.slots[2].when.size(), 1u);
  EXPECT_EQ(d.slots[2].when[0].slot, 1u);
  EXPECT_EQ(d.slots[2].when[0].classes, std::vector<size_t>{1});
  EXPECT_EQ(d.complaints[0].slots, (std::vector<size_t>{0, 1, 2}));
  EXPECT_EQ(d.complaints[1].known, (std::vector<std::pair<size_t, size_t>>{{1, 1}}));
  EXPECT_EQ(d.find_slot("baby"), 2u);
  EXPECT_EQ(d.find_slot("babe"), std::nullopt);
}

TEST(ParseDomain, SaysWhereAndWhy) {
  const struct {
    size_t number;
    const char* line;
    const char* message;
  } cases[] = {
      {1, "", "2: file: 'domain' is missing"},
      {1, "domain: a b", "1: domain: a name has no white space and no '/'"},
      {1, "domain: [a]", "1: domain: expected a text"},
      {2, "greeting: [Hi.]", "2: file: unknown key 'greeting': did you mean 'greetings'?"},
      {2, "greetings: Hi.", "2: greetings: expected a list of texts"},
      {2, "greetings: []", "2: greetings: expected a list of texts"},
      {2, "greetings: [' ']", "2: greetings: expected a text"},
      {2, "greetings: [Hi.", "3: not YAML: end of sequence flow not found"},
      {2, "greetings: [\"{Hi\"]", "2: greetings: '{Hi': '{' without '}'"},
      {2, "unsure: [a]", "3: file: 'unsure' is there twice"},
      {5, "closings: ['Take {advise}.']",
       "5: closings: 'Take {advise}.': '{advise}' has no meaning here"},
      {7, "general: {ask: [More]}", "7: general: 'cues' is missing"},
      {7, "general: {ask: [More], cues: [More]}",
       "7: general: cues: cue 'More': expected lower-case words, '_', '|', '*' at a word's end or "
       "'!' "
       "before a term"},
      {9, "  age: {ask: [How old], cues: [old]}", "9: slot 'age': 'answers' is missing"},
      {9, "  age: {ask: [How old], cues: [old], answers: {}}", "9: slot 'age': answers: empty"},
      {9, "  age: 3", "9: slot 'age': expected a mapping"},
      {9, "  age: {asks: [How old]}", "9: slot 'age': unknown key 'asks': did you mean 'ask'?"},
      {9, "  age: {ask: [How old], cues: [old], answers: {a: {of: [x], say: [y]}}}",
       "9: slot 'age': answer 'a': has values in 'of', but no wording says {value}"},
      {9, "  age: {ask: [How old], cues: [old], answers: {a: {say: ['{value}']}}}",
       "9: slot 'age': answer 'a': say: '{value}': '{value}' has no meaning here"},
      {9, "  age: {ask: [How old], cues: [old], answers: {a: {say: [y], weight: 0}}}",
       "9: slot 'age': answer 'a': weight: expected a number in (0, 1000000]"},
      {9, "  age: {ask: [How old], cues: [old], answers: {a: {say: [y], weight: .nan}}}",
       "9: slot 'age': answer 'a': weight: expected a number in (0, 1000000]"},
      {9, "  age: {ask: [How old], cues: [old], answers: {a: {say: [y], urgent: maybe}}}",
       "9: slot 'age': answer 'a': urgent: expected true or false"},
      {9, "  age: {ask: [How old], cues: [old], answers: {a: {of: [3..1], say: ['{value}']}}}",
       "9: slot 'age': answer 'a': of: range '3..1' is empty or has more than 10000 numbers"},
      {9, "  age: {ask: [How old], cues: [old], answers: {a: {of: [0..999999], say: ['{value}']}}}",
       "9: slot 'age': answer 'a': of: range '0..999999' is empty or has more than 10000 numbers"},
      {9,
       "  age: {ask: [How old], cues: [old], answers: {a: {of: [b], say: ['{value}']}, b: {say: "
       "[B]}}}",
       "9: slot 'age': value 'b' is there twice"},
      {9, "  age: {ask: [How old], cues: [old], answers: {unknown: {say: [B]}}}",
       "9: slot 'age': value 'unknown' is there twice"},
      {11, "  baby: {when: {sax: [female]}, ask: [Baby], cues: [baby], answers: {any: {say: [B]}}}",
       "11: slot 'baby': when: unknown slot 'sax': did you mean 'sex'?"},
      {11, "  baby: {when: {sex: [woman]}, ask: [Baby], cues: [baby], answers: {any: {say: [B]}}}",
       "11: slot 'baby': when: slot 'sex' has no answer 'woman'"},
      {11, "  baby: {when: {sex: female}, ask: [Baby], cues: [baby], answers: {any: {say: [B]}}}",
       "11: slot 'baby': when: expected a list of texts"},
      {13, "  pain: {say: [Ouch.], slots: [agee], advice: [tea]}",
       "13: complaint 'pain': slots: unknown slot 'agee': did you mean 'age'?"},
      {13, "  pain: {say: [Ouch.], slots: [age, age], advice: [tea]}",
       "13: complaint 'pain': slots: 'age' is there twice"},
      {13, "  pain: {say: [Ouch.], slots: [baby, sex], advice: [tea]}",
       "13: complaint 'pain': slots: 'baby' depends on 'sex', which must stand before it"},
      {14, "  cramp: {say: [Argh.], known: {sex: woman}, slots: [baby], advice: [tea]}",
       "14: complaint 'cramp': known: slot 'sex' has no answer 'woman'"},
      {14, "  cramp: {say: [Argh.], known: {sex: female}, slots: [sex], advice: [tea]}",
       "14: complaint 'cramp': slots: 'sex' is there twice"},
      {14, "  cramp: {say: [Argh.], slots: [age]}", "14: complaint 'cramp': 'advice' is missing"},
      {14, "  cramp: \xff", "14: not valid UTF-8"},
  };
  for (const auto& c : cases) {
    try {
      parse_domain(with_line(c.number, c.line), "tiny.yaml");
      ADD_FAILURE() << "accepted: " << c.line;
    } catch (const Failure& failure) {
      EXPECT_EQ(failure.what(), "domain: tiny.yaml:" + std::string(c.message)) << c.line;
    }
  }
}

TEST(ParseDomain, RefusesTextThatIsNoDomain) {
  for (const char* text : {"", "- a\n- b", "just text", "domain: x\nslots: &a {a: *b}"}) {
    EXPECT_THROW(parse_domain(text, "x.yaml"), Failure) << text;
  }
  EXPECT_THROW(read_domain("/nonexistent/x.yaml"), Failure);
}

TEST(ShippedDomains, AreLargeEnough) {
  for (const char* name : {"pharmacy", "laptop"}) {
    const Domain d = testing::shipped_domain(name);
    EXPECT_GE(d.complaints.size(), 25u);
    EXPECT_GE(d.slots.size(), 40u);
    std::vector<bool> used(d.slots.size());
    for (const auto& complaint : d.complaints) {
      EXPECT_GE(complaint.say.size(), 4u) << complaint.name;
      EXPECT_GE(complaint.slots.size(), 4u) << complaint.name;
      EXPECT_LE(complaint.slots.size(), 7u) << complaint.name;
      for (const size_t slot : complaint.slots) used[slot] = true;
    }
    for (size_t s = 0; s < d.slots.size(); ++s) {
      EXPECT_TRUE(used[s]) << d.slots[s].name;
      EXPECT_GE(d.slots[s].ask.size(), 4u) << d.slots[s].name;
      for (const auto& answer : d.slots[s].classes) {
        EXPECT_GE(answer.say.size(), 4u) << d.slots[s].name << " " << answer.name;
      }
    }
  }
}

TEST(CheckTemplate, SaysWhatIsWrong) {
  const struct {
    const char* text;
    const char* message;
  } cases[] = {
      {"a}", "'}' without '{'"},
      {"{a", "'{' without '}'"},
      {"{a{b}}", "'{' without '}'"},
      {"{}", "'{}' has no meaning here"},
      {"{b}", "'{b}' has no meaning here"},
      {"{a||b}", "empty alternative in '{a||b}'"},
      {"{|b}", "empty alternative in '{|b}'"},
      {"{a|b} {x", "'{' without '}'"},
  };
  for (const auto& c : cases) {
    const auto checked = check_template(c.text, "value");
    ASSERT_FALSE(checked) << c.text;
    EXPECT_EQ(checked.error().message, c.message) << c.text;
  }
  for (const char* text : {"", "a", "{value}", "{a|b}{value}", "{value|b}"}) {
    EXPECT_TRUE(check_template(text, "value")) << text;
  }
}

TEST(FillTemplate, DrawsEveryAlternative) {
  Rng rng(1);
  std::map<std::string, int> drawn;
  for (int i = 0; i < 900; ++i) ++drawn[fill_template("It's {a|bb|c} {value}!", "x|{y}", rng)];
  EXPECT_EQ(drawn.size(), 3u);
  for (const char* part : {"a", "bb", "c"}) {
    EXPECT_GT(drawn[std::string("It's ") + part + " x|{y}!"], 200) << part;
  }
}

TEST(Mistype, KeepsShortWordsNumbersAndMostOfTheText) {
  Rng rng(2);
  size_t slips = 0;
  for (int i = 0; i < 1000; ++i) {
    const std::string typed = mistype("I am 12345678 and HAVE a problem.", rng);
    EXPECT_TRUE(typed.starts_with("i am 12345678 and ")) << typed;
    EXPECT_NE(typed.back(), '.');
    slips += typed != "i am 12345678 and HAVE a problem";
  }
  EXPECT_NEAR(static_cast<double>(slips), 154, 60);  // 1 - 0.92^2, less slips that change nothing
  EXPECT_EQ(mistype("", rng), "");
  EXPECT_EQ(mistype("Ü.", rng), "Ü");
}

}  // namespace
}  // namespace l2a
