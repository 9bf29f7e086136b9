#include "hindsight/question.h"

#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/rng.h"
#include "base/utf8.h"

namespace l2a {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

const QuestionForms& forms() {
  static const QuestionForms kForms = QuestionForms::load(L2A_SOURCE_DIR "/prompts/questions");
  return kForms;
}

struct Count {
  const char* text;
  size_t questions;
};

void expect_counts(std::initializer_list<Count> cases) {
  for (const Count& c : cases) {
    const auto found = forms().questions(c.text);
    EXPECT_EQ(found.size(), c.questions) << c.text << " -> " << ::testing::PrintToString(found);
  }
}

TEST(Questions, AreCountedInEnglish) {
  expect_counts({
      {"How old are you? Any allergies?", 2},
      {"Do you have a fever or a cough?", 1},
      {"Tell me your age.", 1},
      {"tell me your age", 1},
      {"OK, and please tell me your age.", 1},
      {"Please describe the pain.", 1},
      {"How old are you and do you smoke and since when?", 3},
      {"How old are you and do you smoke", 2},
      {"How old are you, do you smoke, and are you pregnant?", 3},
      {"Do you have a fever, a cough, or any rash?", 1},
      {"Is it sharp or is it dull?", 1},
      {"Is it sharp, or is it more like a dull pressure?", 1},
      {"Do you smoke or do you drink or are you pregnant?", 2},
      {"Tell me, how old are you?", 1},
      {"How, when and where did it start?", 1},
      {"When you sit, does it hurt?", 1},
      {"When did it start?", 1},
      {"You have a fever, right?", 1},
      {"Swollen, OK, is it red?", 1},
      {"What brings you in today", 1},
      {"If you walk, does it hurt?", 1},
      {"I was wondering if you could tell me what brought you in today.", 1},
      {"Dr. Lee asks: does it hurt, e.g. at 3.5 km?", 1},
      {"Wait... do you have a fever?", 1},
      {"What?! Where does it hurt?", 2},
      {"1. How old are you?\n2. Do you smoke?", 2},
      {"Please check whether the axle nut is loose and let me know.", 1},
      {"Check and let me know if it is loose.", 1},
      {"Please enter the code.", 1},
      {"Which side is it", 1},
  });
}

TEST(Questions, AreNotSeenInStatementsAndFillers) {
  expect_counts({
      {"I see. That sounds bad.", 0},
      {"Okay?", 0},
      {"OK. All right?", 0},
      {"?", 0},
      {"?!?", 0},
      {"", 0},
      {" \n\t ", 0},
      {"What you describe sounds like a cold.", 0},
      {"Have a nice day!", 0},
      {"Do not restart it.", 0},
      {"Take one a day. Let me know if you have any more questions.", 0},
      {"See https://example.org/search?q=fever for more.", 0},
      {"See www.example.org/?a=b", 0},
      {"Replace the switch, which is broken.", 0},
      {"The issue lies with the battery, which must be replaced.", 0},
      {"Your ignition switch needs to be replaced.", 0},
      {"<stop />", 0},
      {"<med_search>", 0},
  });
  expect_counts({{"Have you seen https://example.org/faq?", 1}});
}

TEST(Questions, AreCountedInChinese) {
  expect_counts({
      {"您好，请问这种情况多久？", 1},
      {"您多大了？有过敏吗？", 2},
      {"有没有发烧、咳嗽", 1},
      {"请问，您多大了？", 1},
      {"现在主要是怎样不舒服？用过什么药物吗，可以把检查报告发过来吗？", 3},
      {"做过什么检查", 1},
      {"告诉我您的年龄", 1},
      {"建议多喝水，注意休息。", 0},
      {"没什么大问题。", 0},
      {"没多大问题。", 0},
      {"有没有多大的变化", 1},
      {"好吗？", 0},
      {"恩", 0},
      {"一天拉几次？，大便什么样", 2},
      {"您好。您发烧几天了", 1},
  });
}

TEST(Questions, AreCountedByTheMarksOfOtherScripts) {
  expect_counts({
      {"كم عمرك؟ هل لديك حساسية؟", 2},                   // Arabic
      {"¿Cuántos años tiene? ¿Es alérgico a algo?", 2},  // Spanish
      {"Hola, ¿tiene fiebre? Gracias.", 1},
      {"何歳ですか？アレルギーはありますか？", 2},  // Japanese
      {"お大事にしてください。", 0},
      {"Πόσων χρονών είστε; Έχετε αλλεργίες;", 2},  // Greek, typed with a semicolon
      {"Πόσων χρονών είστε\u037E", 1},              // Greek, its own mark
      {"Έχετε πυρετό· ξεκουραστείτε.", 0},
      {"It hurts; I know.", 0},       // a semicolon elsewhere asks nothing
      {"Քանի՞ տարեկան եք։ Լավ։", 1},  // Armenian, inside the asking word
      {"ዕድሜህ ስንት ነው፧", 1},            // Ethiopic
      {"Сколько вам лет? Есть аллергия?", 2},
      {"आपकी उम्र क्या है? ठीक है।", 1},
      {"몇 살이세요? 알레르기가 있나요?", 2},
      {"Really\u203D And since when\u2047", 2},
  });
}

TEST(Questions, KeepTheirWords) {
  EXPECT_THAT(forms().questions("Hi. How old are you, and do you smoke and since when? Thanks."),
              ElementsAre("How old are you", "and do you smoke", "and since when?"));
  EXPECT_THAT(forms().questions("OK, um, is it red?"), ElementsAre("OK, um, is it red?"));
  EXPECT_THAT(forms().questions("一天拉几次？，大便什么样"),
              ElementsAre("一天拉几次？", "大便什么样"));
  EXPECT_THAT(forms().questions("I see."), IsEmpty());
}

TEST(Sentences, EndAtPunctuationOfAnyScript) {
  const struct {
    const char* text;
    std::vector<std::string> sentences;
  } cases[] = {
      {"One. Two! Three?", {"One.", "Two!", "Three?"}},
      {"  One \n\n two  ", {"One", "two"}},
      {"Dr. Lee saw Mr. J. Smith at 3.5 km.", {"Dr. Lee saw Mr. J. Smith at 3.5 km."}},
      {"At 5 p.m. it hurts. At 6 p.m. It stops.",
       {"At 5 p.m. it hurts.", "At 6 p.m.", "It stops."}},
      {"e.g. this. That", {"e.g. this.", "That"}},
      {"1. Restart it. 2. Wait.", {"1. Restart it.", "2. Wait."}},
      {"He is 45. Fine.", {"He is 45.", "Fine."}},
      {"So... it hurts... Yes.", {"So... it hurts...", "Yes."}},
      {"\"Does it hurt?\" he said.", {"\"Does it hurt?\"", "he said."}},
      {"See https://a.org/b?c=d. Fine.", {"See https://a.org/b?c=d.", "Fine."}},
      {"你好。多大了？好！", {"你好。", "多大了？", "好！"}},
      {"ठीक है। हाँ।", {"ठीक है।", "हाँ।"}},
      {"v2.0.1 crashes", {"v2.0.1 crashes"}},
      {"me and I. You too.", {"me and I.", "You too."}},
      {"", {}},
      {" \n ", {}},
  };
  for (const auto& c : cases) EXPECT_EQ(QuestionForms::sentences(c.text), c.sentences) << c.text;
}

// Independent of where the rules cut: sentences keep every non-space byte, in order.
TEST(Sentences, LoseNothingButWhiteSpace) {
  const std::vector<std::string> pieces = {"a",
                                           "Dr",
                                           ".",
                                           "..",
                                           "?",
                                           "!",
                                           " ",
                                           "\n",
                                           "3",
                                           "。",
                                           "？",
                                           "你",
                                           "http://x.y/?q",
                                           "e.g.",
                                           ",",
                                           ";",
                                           "ί",
                                           "¿",
                                           "\"",
                                           ")",
                                           "\u2026",
                                           "www.",
                                           "I",
                                           "或者",
                                           "or",
                                           "and do you",
                                           "tell me"};
  Rng rng(7);
  for (int round = 0; round < 20000; ++round) {
    std::string text;
    for (uint64_t n = rng.below(12); n > 0; --n) text += rng.pick(pieces);
    std::string joined, squeezed;
    for (const std::string& sentence : QuestionForms::sentences(text)) {
      EXPECT_EQ(sentence, trim(sentence));
      EXPECT_FALSE(sentence.empty());
      joined += sentence;
    }
    for (const std::string* from : {&text, &joined}) {
      std::string out;
      for (const char c : *from) {
        if (c != ' ' && c != '\n') out += c;
      }
      if (from == &text)
        squeezed = out;
      else
        ASSERT_EQ(out, squeezed) << text;
    }
    for (const std::string& question : forms().questions(text)) {
      EXPECT_NE(text.find(question), text.npos) << text;
      EXPECT_FALSE(words(question).empty()) << text;
    }
  }
}

TEST(QuestionForms, RefuseAMalformedList) {
  const struct {
    const char* text;
    const char* message;
  } cases[] = {
      {"do you\n[question]\n",
       "x.txt:2: unknown section 'question' (known: questions, not questions, amounts, joiners, "
       "alternatives, contrast, asks back, explain, unknown, thanks, yes or no, function words)"},
      {"[questions\n", "x.txt:1: section not closed: '[questions'"},
      {"# fine\n\n *?! \n", "x.txt:3: no word in '*?!'"},
      {"ok\n\xff\n", "x.txt:2: not valid UTF-8"},
  };
  for (const auto& c : cases) {
    Phrases phrases;
    try {
      phrases.add(c.text, "x.txt");
      ADD_FAILURE() << c.text;
    } catch (const Failure& failure) {
      EXPECT_STREQ(failure.what(), c.message);
    }
  }
}

TEST(QuestionForms, RefuseAFolderWithoutLists) {
  EXPECT_THROW(QuestionForms::load("/nonexistent"), Failure);
  EXPECT_THROW(QuestionForms::load(L2A_SOURCE_DIR "/learn2ask"), Failure);
}

TEST(QuestionKey, IgnoresCasePunctuationAndSpacing) {
  EXPECT_EQ(question_key("How  old\nare YOU?"), question_key("how old are you"));
  EXPECT_NE(question_key("How old are you?"), question_key("How old is he?"));
}

}  // namespace
}  // namespace l2a
