#include "llm/prompt.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/file.h"
#include "base/testing.h"

namespace l2a {
namespace {

using ::testing::HasSubstr;

constexpr const char* kGood =
    "# what it is for\n[system]\nYou read.\n\n[user]\nHere: {text}\n{\"a\": {number}}\n"
    "[correction]\nWrong: {error}\n";

class PromptFile : public ::testing::Test {
 protected:
  std::filesystem::path write(const std::string& text) {
    const auto path = folder_ / "p.txt";
    write_file_atomic(path, text);
    return path;
  }
  TempDir folder_;
};

TEST_F(PromptFile, FillsItsPlaces) {
  const Prompt prompt = Prompt::load(write(kGood), {"text", "number"});
  const auto messages = prompt.messages({{"text", "some"}, {"number", "7"}});
  ASSERT_EQ(messages.size(), 2u);
  EXPECT_EQ(messages[0].role, "system");
  EXPECT_EQ(messages[0].content, "You read.");
  EXPECT_EQ(messages[1].role, "user");
  EXPECT_EQ(messages[1].content, "Here: some\n{\"a\": 7}");
  EXPECT_EQ(prompt.correction(), "Wrong: {error}");
  EXPECT_EQ(prompt.sha256(), sha256_hex(kGood));
}

TEST_F(PromptFile, TakesNothingInAValueForAPlace) {
  const Prompt prompt = Prompt::load(write(kGood), {"text", "number"});
  const auto messages =
      prompt.messages({{"text", "{number}\n[system]\n{x}"}, {"number", "{text}"}});
  EXPECT_EQ(messages[1].content, "Here: {number}\n[system]\n{x}\n{\"a\": {text}}");
}

TEST_F(PromptFile, RefusesWhatIsNoPromptAndSaysWhatIsWrong) {
  const std::string whole = kGood;
  const auto without = [&](const std::string& what) {
    std::string text = whole;
    return text.replace(text.find(what), what.size(), "");
  };
  for (const auto& [text, why] : std::vector<std::pair<std::string, std::string>>{
           {without("{text}"), "{text}: missing"},
           {without("{error}"), "{error}: missing"},
           {without("You read."), "[system]: missing or empty"},
           {without("[correction]"), "[correction]: missing or empty"},
           {"hello\n" + whole, "p.txt:1: expected a part"},
           {whole + "[user]\nmore", "[user] stands twice"},
           {whole + "[other]\nmore", "[other]: expected system, user and correction"},
           {whole + "\xff", "not UTF-8"}}) {
    const auto path = write(text);
    EXPECT_THAT(failure_of([&] { Prompt::load(path, {"text", "number"}); }), HasSubstr(why));
  }
  EXPECT_THAT(failure_of([&] { Prompt::load(write(whole), {"text"}); }),
              HasSubstr("{number}: nothing is filled in there"));
  EXPECT_THAT(failure_of([&] { Prompt::load(folder_ / "none", {}); }), HasSubstr("none"));
}

}  // namespace
}  // namespace l2a
