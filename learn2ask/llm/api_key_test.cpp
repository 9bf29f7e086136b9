#include "llm/api_key.h"

#include <cstdlib>
#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "base/testing.h"

namespace l2a {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

// The options of a key file with these bytes and this mode.
LlmOptions with_file(const std::filesystem::path& path, const std::string& bytes, mode_t mode) {
  std::ofstream(path, std::ios::binary) << bytes;
  check(::chmod(path.c_str(), mode) == 0, "chmod");
  LlmOptions options;
  options.key_file = path.string();
  return options;
}

// An environment variable that is set, or with nullptr is not, for as long as this lives.
class Variable {
 public:
  Variable(std::string name, const char* value) : name_(std::move(name)) {
    if (const char* old = std::getenv(name_.c_str())) old_ = old;
    set(value);
  }
  ~Variable() { set(old_ ? old_->c_str() : nullptr); }
  Variable(const Variable&) = delete;
  Variable& operator=(const Variable&) = delete;

 private:
  void set(const char* value) const {
    if (value != nullptr) {
      ::setenv(name_.c_str(), value, 1);
    } else {
      ::unsetenv(name_.c_str());
    }
  }
  std::string name_;
  std::optional<std::string> old_;
};

LlmOptions with_variable(const std::string& name) {
  LlmOptions options;
  options.key_env = name;
  return options;
}

TEST(FindKey, ReadsAFileThatOnlyItsOwnerMayRead) {
  const TempDir dir;
  for (const char* bytes : {"sk-1234", "sk-1234\n", "sk-1234\r\n", "sk-1234\n\n"}) {
    const auto key = find_key(with_file(dir / "key", bytes, 0600));
    ASSERT_TRUE(key);
    EXPECT_EQ(key->reveal(), "sk-1234");
  }
}

TEST(FindKey, RefusesAFileThatOthersMayReadAndSaysWhatToDo) {
  const TempDir dir;
  for (const mode_t mode : {0644, 0640, 0604, 0660, 0777}) {
    const LlmOptions options = with_file(dir / "key", "sk-1234\n", mode);
    const std::string why = failure_of([&] { find_key(options); });
    EXPECT_THAT(why, HasSubstr("chmod 600 " + options.key_file)) << mode;
    EXPECT_THAT(why, Not(HasSubstr("sk-1234"))) << mode;
  }
}

TEST(FindKey, RefusesAFileThatIsNotThere) {
  const TempDir dir;
  LlmOptions options;
  options.key_file = (dir / "none").string();
  EXPECT_THAT(failure_of([&] { find_key(options); }), HasSubstr("No such file"));
}

TEST(FindKey, ShowsNoKeyThatStandsWhereItsPlaceShould) {
  LlmOptions in_file, in_variable;
  in_file.key_file = in_variable.key_env = "sk-1234";
  EXPECT_EQ(failure_of([&] { find_key(in_file); }).find("sk-1234"), std::string::npos);
  EXPECT_EQ(failure_of([&] { find_key(in_variable); }).find("sk-1234"), std::string::npos);
}

TEST(FindKey, ReadsTheEnvironment) {
  const Variable usual("LEARN2ASK_LLM_KEY", "sk-usual");
  const Variable another("L2A_SECRET_TEST_KEY", "sk-another");
  const auto by_default = find_key(LlmOptions{});
  ASSERT_TRUE(by_default);
  EXPECT_EQ(by_default->reveal(), "sk-usual");
  const auto by_name = find_key(with_variable("L2A_SECRET_TEST_KEY"));
  ASSERT_TRUE(by_name);
  EXPECT_EQ(by_name->reveal(), "sk-another");
}

TEST(FindKey, PrefersTheFileToTheEnvironment) {
  const TempDir dir;
  const Variable usual("LEARN2ASK_LLM_KEY", "sk-usual");
  const auto key = find_key(with_file(dir / "key", "sk-file\n", 0600));
  ASSERT_TRUE(key);
  EXPECT_EQ(key->reveal(), "sk-file");
}

TEST(FindKey, NeedsNoneUnlessAVariableIsNamed) {
  const Variable usual("LEARN2ASK_LLM_KEY", nullptr);
  const Variable another("L2A_SECRET_TEST_KEY", nullptr);
  EXPECT_FALSE(find_key(LlmOptions{}));
  EXPECT_THAT(failure_of([&] { find_key(with_variable("L2A_SECRET_TEST_KEY")); }),
              HasSubstr("llm.key_env: the variable that it names is not set"));
}

TEST(FindKey, RefusesAnEmptyKeyAndSaysWhereItIs) {
  const TempDir dir;
  for (const char* bytes : {"", "\n", "\r\n"}) {
    const LlmOptions options = with_file(dir / "key", bytes, 0600);
    EXPECT_THAT(failure_of([&] { find_key(options); }), HasSubstr(options.key_file));
  }
  const Variable another("L2A_SECRET_TEST_KEY", "");
  EXPECT_THAT(failure_of([&] { find_key(with_variable("L2A_SECRET_TEST_KEY")); }),
              HasSubstr("L2A_SECRET_TEST_KEY"));
}

TEST(ApiKey, RefusesWhatWouldBreakAHeaderWithoutShowingIt) {
  const TempDir dir;
  for (const std::string& key :
       {std::string("hunter2 hunter2"), std::string("hunter2\nhunter2"),
        std::string("hunter2\r\nHost: hunter2"), std::string("hunter2\thunter2"),
        std::string("hunter2 "), std::string(" hunter2"), std::string("hunter2\u00e9"),
        std::string("hunter2\x7f"), std::string("hunter2\x01"), std::string("hunter2\xff")}) {
    const std::string direct = failure_of([&] { ApiKey(key, "the test"); });
    EXPECT_THAT(direct, HasSubstr("the test"));
    EXPECT_THAT(direct, Not(HasSubstr("hunter2")));
    const LlmOptions in_file = with_file(dir / "key", key, 0600);
    EXPECT_THAT(failure_of([&] { find_key(in_file); }), Not(HasSubstr("hunter2")));
    const Variable variable("L2A_SECRET_TEST_KEY", key.c_str());
    EXPECT_THAT(failure_of([&] { find_key(with_variable("L2A_SECRET_TEST_KEY")); }),
                Not(HasSubstr("hunter2")));
  }
  EXPECT_EQ(ApiKey("!~azAZ09-_.:/+=", "the test").reveal(), "!~azAZ09-_.:/+=");
}

TEST(ApiKey, IsTakenOutOfATextWhereverItStands) {
  const ApiKey secret("sk-12345", "the test");
  EXPECT_EQ(secret.scrub(""), "");
  EXPECT_EQ(secret.scrub("sk-1234 sk-12 345"), "sk-1234 sk-12 345");
  EXPECT_EQ(secret.scrub("sk-12345"), "[key]");
  EXPECT_EQ(secret.scrub("sk-12345sk-12345, 'sk-12345'"), "[key][key], '[key]'");
  EXPECT_EQ(secret.scrub("sk-sk-1234512345"), "sk-[key]12345");
  EXPECT_EQ(ApiKey("]]]]]]]]", "the test").scrub("a]]]]]]]]]]]]]]]]b"), "a[key][key]b");
}

TEST(ApiKey, IsLeftWhereItIsAWordThatAnswersMayContain) {
  for (const char* key : {"key", "EMPTY", "content", "none"}) {
    const std::string text = std::string("the ") + key + " of it";
    EXPECT_EQ(ApiKey(key, "the test").scrub(text), text);
  }
}

}  // namespace
}  // namespace l2a
