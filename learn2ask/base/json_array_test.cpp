#include "base/json_array.h"

#include <sstream>
#include <vector>

#include <gtest/gtest.h>

#include "base/rng.h"
#include "base/testing.h"

namespace l2a {
namespace {

// Each element as it was read: its line and text, or the error.
std::vector<std::string> read_all(const std::string& text) {
  std::istringstream in(text);
  JsonArrayReader reader(in, "log");
  std::vector<std::string> seen;
  while (auto element = reader.next()) {
    seen.push_back(*element
                       ? std::to_string((*element)->number) + " " + dump_json((*element)->value)
                       : element->error().message);
  }
  EXPECT_FALSE(reader.next());
  return seen;
}

using Elements = std::vector<std::string>;

TEST(JsonArrayReader, ReadsElementsHoweverTheyAreLaidOut) {
  EXPECT_EQ(read_all("[]"), Elements{});
  EXPECT_EQ(read_all(" [\n ] \n"), Elements{});
  EXPECT_EQ(read_all("[{\"a\":1}]"), Elements{"1 {\"a\":1}"});
  EXPECT_EQ(read_all("\xEF\xBB\xBF\n[\r\n  {\"a\": [1, {}]},\n\n  {\n\"b\": \"]},{[\\\"\"\n}\n]\n"),
            (Elements{"3 {\"a\":[1,{}]}", "5 {\"b\":\"]},{[\\\"\"}"}));
}

TEST(JsonArrayReader, GoesOnAfterEachBadElement) {
  EXPECT_EQ(read_all("[1,\n{\"a\" 1},\n[{}],\n{}]"),
            (Elements{"log:1: expected a JSON object",
                      "log:2: byte 6: not JSON: unexpected number literal; expected ':'",
                      "log:3: expected a JSON object", "4 {}"}));
  EXPECT_EQ(read_all("[{}, ]").size(), 2u);
  EXPECT_EQ(read_all("[,{}]").size(), 2u);
  const std::string longest = "{\"a\":\"" + std::string(kMaxLineBytes - 8, 'x') + "\"}";
  EXPECT_EQ(read_all("[" + longest + "]").size(), 1u);
  EXPECT_EQ(read_all("[" + longest + " ,{}]"),
            (Elements{"log:1: element longer than 16 MiB", "1 {}"}));
}

TEST(JsonArrayReader, EndsWhereNothingMoreCanBeFound) {
  EXPECT_EQ(failure_of([] { read_all("{}"); }), "log:1: expected a JSON array");
  EXPECT_EQ(failure_of([] { read_all(""); }), "log:1: expected a JSON array");
  for (const char* text : {"\n[", "\n[{}", "\n[{},", "\n[{\"a]\"", "\n[\"\\\"]"}) {
    EXPECT_EQ(failure_of([&] { read_all(text); }),
              "log:2: the array that begins here is not closed")
        << text;
  }
  for (const char* text : {"[]\nx", "[]\n[]", "[{}]\n]"}) {
    EXPECT_EQ(failure_of([&] { read_all(text); }), "log:2: text after the array") << text;
  }
}

std::string random_text(Rng& rng) {
  constexpr std::string_view kCharacters = "a\"\\[]{},: \n\t\x7F";
  std::string text;
  for (uint64_t i = rng.below(8); i > 0; --i) text += kCharacters[rng.below(kCharacters.size())];
  return text;
}

Json random_value(Rng& rng, int depth) {
  switch (rng.below(depth > 3 ? 3 : 5)) {
    case 0:
      return random_text(rng);
    case 1:
      return rng.below(1000);
    case 2:
      return nullptr;
    case 3: {
      Json list = Json::array();
      for (uint64_t i = rng.below(4); i > 0; --i) list.push_back(random_value(rng, depth + 1));
      return list;
    }
    default: {
      Json object = Json::object();
      for (uint64_t i = rng.below(4); i > 0; --i) {
        object[random_text(rng)] = random_value(rng, depth + 1);
      }
      return object;
    }
  }
}

// Held against the parser of the whole; cut anywhere, it is refused and nothing else.
TEST(JsonArrayReader, GivesWhatTheWholeArrayHolds) {
  Rng rng = Rng::stream(1, "arrays", 0);
  for (int round = 0; round < 300; ++round) {
    Json all = Json::array();
    for (uint64_t i = rng.below(6); i > 0; --i) {
      Json object = Json::object();
      object["x"] = random_value(rng, 0);
      all.push_back(object);
    }
    const std::string text = all.dump(static_cast<int>(rng.below(4)) - 1);
    const auto seen = read_all(text);
    ASSERT_EQ(seen.size(), all.size()) << text;
    for (size_t i = 0; i < seen.size(); ++i) {
      EXPECT_EQ(seen[i].substr(seen[i].find(' ') + 1), dump_json(all[i])) << text;
    }
    const std::string cut = text.substr(0, rng.below(text.size()));
    EXPECT_THROW(read_all(cut), Failure) << cut;
  }
}

}  // namespace
}  // namespace l2a
