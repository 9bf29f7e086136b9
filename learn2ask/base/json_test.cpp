#include "base/json.h"

#include <gtest/gtest.h>

#include "base/rng.h"

namespace l2a {
namespace {

std::string nested(size_t levels) { return std::string(levels, '[') + std::string(levels, ']'); }

// A random JSON text, sometimes with a repeated key.
std::string random_json(Rng& rng, int depth) {
  switch (rng.below(depth > 0 ? 7 : 5)) {
    case 0:
      return "null";
    case 1:
      return rng.chance(0.5) ? "true" : "-12.5e3";
    case 2:
      return std::to_string(rng.below(1000));
    case 3:
      return R"("text \u00e9 \ud83d\ude00 \n")";
    case 4:
      return "\"\u4f60\u597d\"";
    case 5: {
      std::string text = "[";
      for (uint64_t i = rng.below(4); i > 0; --i) text += random_json(rng, depth - 1) + " ,";
      if (text.back() == ',') text.pop_back();
      return text + "]";
    }
    default: {
      std::string text = "{";
      for (uint64_t i = rng.below(4); i > 0; --i) {
        text += "\"k" + std::to_string(rng.below(12)) + "\": " + random_json(rng, depth - 1) + ",";
      }
      if (text.back() == ',') text.pop_back();
      return text + "}";
    }
  }
}

TEST(ParseJson, KeepsTheOrderOfKeys) {
  const std::string text = R"({"z":1,"a":[1,2.5,{"y":null,"b":true}],"m":"\u00e9"})";
  EXPECT_EQ(dump_json(*parse_json(text)), R"({"z":1,"a":[1,2.5,{"y":null,"b":true}],"m":"é"})");
}

TEST(ParseJson, AcceptsWhatIsJustAllowed) {
  for (const std::string& text :
       {nested(kMaxJsonDepth), std::string(" \t\r\n1 "), std::string("\"\xF4\x8F\xBF\xBF\""),
        std::string(R"("\ud83d\ude00")"), std::string(R"({"a":{"a":{"a":1}},"b":{"a":1}})"),
        std::string("-0.0"), std::string("18446744073709551615"), std::string("1e308")}) {
    EXPECT_TRUE(parse_json(text)) << text;
  }
}

TEST(ParseJson, SaysWhatIsWrongAndWhere) {
  const std::string nul("[\"a\0b\"]", 7);
  const struct {
    std::string text, message;
  } cases[] = {
      {"", "byte 1: not JSON: unexpected end of input; expected '[', '{', or a literal"},
      {"nul", "byte 4: not JSON: invalid literal"},
      {"{\"a\"", "byte 5: not JSON: unexpected end of input; expected ':'"},
      {"{\"a\":1,}", "byte 8: not JSON: unexpected '}'; expected string literal"},
      {"[1,]", "byte 4: not JSON: unexpected ']'; expected '[', '{', or a literal"},
      {"[1 2]", "byte 4: not JSON: unexpected number literal; expected ']'"},
      {"{} x", "byte 4: not JSON: invalid literal"},
      {"{}{}", "byte 3: not JSON: unexpected '{'; expected end of input"},
      {"{a:1}", "byte 2: not JSON: invalid literal"},
      {"'a'", "byte 1: not JSON: invalid literal"},
      {"\"a", "byte 3: not JSON: invalid string: missing closing quote"},
      {"NaN", "byte 1: not JSON: invalid literal"},
      {"1e999", "byte 5: number too large"},
      {"01", "byte 2: not JSON: unexpected number literal; expected end of input"},
      {"\"\xff\"", "byte 2: invalid UTF-8"},
      {"\"\xC0\x80\"", "byte 2: invalid UTF-8"},
      {"\"\xED\xA0\x80\"", "byte 2: invalid UTF-8"},
      {"\"ab\xE4\xBD\"", "byte 4: invalid UTF-8"},
      {nul, "byte 4: NUL"},
      {R"(["a\u0000"])", "byte 10: escaped NUL in a string"},
      {R"({"\u0000":1})", "byte 9: escaped NUL in a key"},
      {R"({"a":1,"b":2,"a":3})", "byte 16: repeated key 'a'"},
      {R"([{"a":1,"a":1}])", "byte 11: repeated key 'a'"},
      {nested(kMaxJsonDepth + 1), "byte 65: nested deeper than 64 levels"},
      {std::string(1'000'000, '['), "byte 65: nested deeper than 64 levels"},
      {R"("\ud800")",
       "byte 8: not JSON: invalid string: surrogate U+D800..U+DBFF must be followed by "
       "U+DC00..U+DFFF"},
  };
  for (const auto& c : cases) {
    const auto value = parse_json(c.text);
    ASSERT_FALSE(value) << c.text.substr(0, 80);
    EXPECT_EQ(value.error().message, c.message) << c.text.substr(0, 80);
    EXPECT_EQ(value.error().code, ErrorCode::kInvalidInput);
  }
}

TEST(ParseJson, MessagesStayShortWhateverTheInput) {
  const std::string token(1 << 20, 'x');
  for (const std::string& text :
       {token, "\"" + token, "[" + token, "{\"" + token + "\":1,\"" + token + "\":2}"}) {
    const auto value = parse_json(text);
    ASSERT_FALSE(value);
    EXPECT_LT(value.error().message.size(), 160u);
  }
}

TEST(ParseJson, TakesTimeInProportionToTheNumberOfKeys) {
  std::string text = "{";
  for (int i = 0; i < 200'000; ++i) text += "\"k" + std::to_string(i) + "\":1,";
  text.back() = '}';
  EXPECT_EQ(parse_json(text)->size(), 200'000u);  // looking through all keys each time: minutes
}

TEST(ParseJson, ReadsWhatTheLibraryReads) {
  Rng rng(1);
  int repeated = 0;
  for (int i = 0; i < 20'000; ++i) {
    const std::string text = random_json(rng, 4);
    const auto ours = parse_json(text);
    if (ours) {
      EXPECT_EQ(*ours, Json::parse(text)) << text;
    } else {
      EXPECT_NE(ours.error().message.find("repeated key"), std::string::npos) << text;
      ++repeated;
    }
  }
  EXPECT_GT(repeated, 0);
}

TEST(ParseJson, AcceptsNoMutationThatTheLibraryRefuses) {
  Rng rng(2);
  const std::string alphabet = "{}[]:,\"\\u0019e-+. ntf\x80\xE4";
  int accepted = 0;
  for (int i = 0; i < 50'000; ++i) {
    std::string text = random_json(rng, 3);
    for (uint64_t edits = 1 + rng.below(3); edits > 0 && !text.empty(); --edits) {
      text[rng.below(text.size())] = alphabet[rng.below(alphabet.size())];
    }
    const auto ours = parse_json(text);
    if (ours) {
      ++accepted;
      EXPECT_TRUE(Json::accept(text)) << text;
    } else if (Json::accept(text)) {
      const std::string& why = ours.error().message;
      EXPECT_TRUE(why.find("repeated key") != why.npos || why.find("NUL") != why.npos)
          << text << ": " << why;
    }
  }
  EXPECT_GT(accepted, 1000);
}

TEST(GetMember, SaysWhichKeyAndWhatItHolds) {
  const Json object = *parse_json(R"({"s":"x","n":1.5,"b":true,"a":[],"o":{},"z":null})");
  EXPECT_EQ(*get_string(object, "s"), "x");
  EXPECT_EQ(*get_number(object, "n"), 1.5);
  EXPECT_EQ(*get_bool_or(object, "b", false), true);
  EXPECT_EQ(*get_bool_or(object, "missing", true), true);
  EXPECT_EQ(*get_string_or(object, "missing", "y"), "y");
  EXPECT_EQ(get_string(object, "missing").error().message, "'missing': missing");
  EXPECT_EQ(get_string(object, "n").error().message, "'n': expected a string, got a number");
  EXPECT_EQ(get_string_or(object, "z", "").error().message, "'z': expected a string, got null");
  EXPECT_EQ(**get_list(object, "a"), Json::array());
  EXPECT_EQ(**get_object(object, "o"), Json::object());
  EXPECT_EQ(get_list(object, "missing").error().message, "'missing': missing");
  EXPECT_EQ(get_list(object, "o").error().message, "'o': expected a list, got an object");
  EXPECT_EQ(get_object(object, "a").error().message, "'a': expected an object, got an array");
  EXPECT_EQ(get_number(object, "a").error().message, "'a': expected a number, got an array");
  EXPECT_EQ(get_index(object, "s", 3).error().message,
            "'s': expected a whole number below 3, got \"x\"");
  EXPECT_EQ(get_index(object, "missing", 3).error().message, "'missing': missing");
  EXPECT_EQ(get_bool_or(object, "o", true).error().message,
            "'o': expected true or false, got an object");
  EXPECT_EQ(get_string(Json("text"), "s").error().message, "expected an object, got a string");
  EXPECT_EQ(get_string_or(Json(3), "s", "").error().message, "expected an object, got a number");
}

TEST(ParseJson, TakesAnEscapedNulOnlyWhereItIsAskedFor) {
  const std::string text = R"({"text": "a\u0000b"})";
  EXPECT_FALSE(parse_json(text));
  const auto json = parse_json_with_nul(text);
  ASSERT_TRUE(json);
  EXPECT_EQ(get_string(*json, "text").value_or_throw(), std::string("a\0b", 3));
  EXPECT_FALSE(parse_json_with_nul(R"({"te\u0000xt": 1})"));
  EXPECT_FALSE(parse_json_with_nul(std::string("{\"a\": \"\0\"}", 10)));
}

TEST(GetMember, AnIndexIsAWholeNumberInItsRange) {
  for (const char* text : {"0", "2", "2.0", "2e0"}) {
    EXPECT_EQ(*get_index(*parse_json(R"({"i":)" + std::string(text) + "}"), "i", 3), text[0] - '0');
  }
  for (const char* text : {"3", "-1", "1.5", "1e300", "18446744073709551616", "-0.5", "null"}) {
    EXPECT_FALSE(get_index(*parse_json(R"({"i":)" + std::string(text) + "}"), "i", 3)) << text;
  }
  EXPECT_FALSE(get_index(*parse_json(R"({"i":0})"), "i", 0));
}

}  // namespace
}  // namespace l2a
