#include "synth/recognise.h"

#include <map>
#include <regex>

#include <gtest/gtest.h>

#include "synth/testing.h"

namespace l2a {
namespace {

using testing::question_forms;
using testing::recognised_name;
using testing::shipped_domain;
using testing::wordings_of;

class ShippedDomain : public ::testing::TestWithParam<const char*> {
 protected:
  std::string name_of(const std::string& question) const {
    return recognised_name(domain, recogniser.recognise(question));
  }
  Domain domain = shipped_domain(GetParam());
  Recogniser recogniser{domain, question_forms()};
};
INSTANTIATE_TEST_SUITE_P(Synth, ShippedDomain, ::testing::Values("pharmacy", "laptop"));

// Every alternative of the domain's own templates.
std::vector<std::string> expansions(const std::string& text) {
  static const std::regex choice(R"(\{([^{}]*)\})");
  std::smatch found;
  if (!std::regex_search(text, found, choice)) return {text};
  std::vector<std::string> all;
  const std::string inside = found[1];
  for (size_t begin = 0, bar = 0; bar != inside.npos; begin = bar + 1) {
    bar = inside.find('|', begin);
    const auto part = inside.substr(begin, bar - begin);
    for (auto& rest : expansions(found.prefix().str() + part + found.suffix().str())) {
      all.push_back(std::move(rest));
    }
  }
  return all;
}

TEST_P(ShippedDomain, RecognisesEveryWordingOfItsOwn) {
  for (const auto& slot : domain.slots) {
    for (const auto& ask : slot.ask) {
      for (const auto& question : expansions(ask))
        EXPECT_EQ(name_of(question), slot.name) << question;
    }
  }
  for (const auto& ask : domain.general_ask) EXPECT_EQ(name_of(ask), "general") << ask;
}

// The cues were corrected on the tuned wordings, never on the held-out ones.
TEST_P(ShippedDomain, RecognisesHeldOutWordings) {
  for (const std::string set : {"", "_tuned"}) {
    const auto wordings = wordings_of(GetParam() + set);
    std::map<std::string, int> per_slot;
    size_t right = 0;
    std::string wrong;
    for (const auto& [slot, question] : wordings) {
      ++per_slot[slot];
      const auto got = name_of(question);
      right += got == slot;
      if (got != slot) wrong += "\n  " + slot + ", not " + got + ": " + question;
    }
    for (const auto& slot : domain.slots) EXPECT_GE(per_slot[slot.name], 2) << slot.name;
    EXPECT_EQ(per_slot.size(), domain.slots.size());
    const double accuracy = static_cast<double>(right) / static_cast<double>(wordings.size());
    std::printf("%s%s: %zu of %zu wordings right (%.3f)%s\n", GetParam(), set.c_str(), right,
                wordings.size(), accuracy, wrong.c_str());
    EXPECT_GE(accuracy, 0.95);
  }
}

TEST_P(ShippedDomain, TakesNoClosingForAQuestion) {
  for (const auto* list : {&domain.closings, &domain.referrals}) {
    for (const auto& text : *list) {
      for (const auto& closing : expansions(text)) {
        EXPECT_FALSE(question_forms().asks(closing)) << closing;
      }
    }
  }
}

TEST(Recogniser, TellsQuestionsFromWhatIsNone) {
  const Domain domain = shipped_domain("pharmacy");
  const Recogniser recogniser(domain, question_forms());
  const struct {
    const char* text;
    const char* name;
  } cases[] = {
      {"How old are you?", "age"},
      {"HOW OLD ARE YOU", "age"},
      {"Thanks, that helps. How old are you?", "age"},
      {"Please tell me your age.", "age"},
      {"Any allergies?", "allergies"},
      // A reply is graded by its first question: asking for all covers no more than one.
      {"How old are you? Do you have any allergies?", "age"},
      {"Do you have any allergies, and how old are you?", "allergies"},
      {"Can you tell me more about it?", "general"},
      {"Could you describe your symptoms?", "general"},
      {"What is the capital of France?", "unknown"},
      {"Shall we dance?", "unknown"},
      {"age allergy pregnancy duration", "nothing"},
      {"Age, allergies, pregnancy, duration?", "nothing"},
      {"age allergies pregnancy?", "nothing"},
      {"I'd suggest paracetamol.", "nothing"},
      {"I am 34 years old.", "nothing"},
      {"<stop />", "nothing"},
      {"", "nothing"},
  };
  for (const auto& c : cases) {
    EXPECT_EQ(recognised_name(domain, recogniser.recognise(c.text)), c.name) << c.text;
  }
}

TEST(ParseCue, SaysWhatIsWrong) {
  const struct {
    const char* text;
    const char* message;
  } cases[] = {
      {"", "cue '': empty word"},
      {"age  old", "cue 'age  old': empty word"},
      {"a||b", "cue 'a||b': empty word"},
      {"how_", "cue 'how_': empty word"},
      {"*", "cue '*': empty word"},
      {"Age",
       "cue 'Age': expected lower-case words, '_', '|', '*' at a word's end or '!' before a term"},
      {"a*e",
       "cue 'a*e': expected lower-case words, '_', '|', '*' at a word's end or '!' before a term"},
      {"age?",
       "cue 'age?': expected lower-case words, '_', '|', '*' at a word's end or '!' before a term"},
      {"!age", "cue '!age': only forbidden terms"},
      {"!a !b|c", "cue '!a !b|c': only forbidden terms"},
  };
  for (const auto& c : cases) {
    const auto cue = parse_cue(c.text);
    ASSERT_FALSE(cue) << c.text;
    EXPECT_EQ(cue.error().message, c.message);
  }
  for (const char* text : {"age", "how_old|age*", "a b_c !d|e", "don't 2"}) {
    EXPECT_TRUE(parse_cue(text)) << text;
  }
}

}  // namespace
}  // namespace l2a
