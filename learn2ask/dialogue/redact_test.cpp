#include "dialogue/redact.h"

#include <gtest/gtest.h>

#include "base/rng.h"

namespace l2a {
namespace {

std::string redacted(const std::string& text) { return Redactor().redact(text); }

TEST(Redactor, FindsAddressesAndNumbers) {
  const struct {
    const char *text, *expected;
  } cases[] = {
      {"mail me: jo.doe+x@mail.example.org.", "mail me: <EMAIL_1>."},
      {"(jo@example.com)", "(<EMAIL_1>)"},
      {"\u90ae\u7bb1jo@example.com\u3002", "\u90ae\u7bb1<EMAIL_1>\u3002"},
      {"a@b.com,c@d.com A@B.COM", "<EMAIL_1>,<EMAIL_2> <EMAIL_1>"},
      {"5551234567@mail.com", "<EMAIL_1>"},
      {"call 555-123-4567 now", "call <PHONE_1> now"},
      {"call (555) 123-4567.", "call <PHONE_1>."},
      {"+49 30 1234567", "<PHONE_1>"},
      {"+1 (555) 123 4567", "<PHONE_1>"},
      {"\u6211\u7684\u7535\u8bdd13812345678\u3002", "\u6211\u7684\u7535\u8bdd<PHONE_1>\u3002"},
      {"01.23.45.67.89", "<PHONE_1>"},
      {"ring 555-0123", "ring <PHONE_1>"},
      {"12 34 56 78", "<PHONE_1>"},
      {"555 123 4567, 555-123-4567, 555.123.4567", "<PHONE_1>, <PHONE_1>, <PHONE_1>"},
      {"card 4111 1111 1111 1111", "card <CARD_1>"},
      {"4111-1111-1111-1111 or 5500000000000004", "<CARD_1> or <CARD_2>"},
      {"378282246310005", "<CARD_1>"},
      {"4111111111111111 123", "<CARD_1> 123"},
      {"4111 1111 1111 1111 12/27", "<CARD_1> 12/27"},
      {"13812345678 13987654321 13812345678", "<PHONE_1> <PHONE_2> <PHONE_1>"},
      {"555-123-4567x12, 555 123 4567 ext 3", "<PHONE_1>x12, <PHONE_1> ext 3"},
      {"pay 4111111111111111, ring 555-123-4567, mail x@y.de",
       "pay <CARD_1>, ring <PHONE_1>, mail <EMAIL_1>"},
  };
  for (const auto& c : cases) EXPECT_EQ(redacted(c.text), c.expected) << c.text;
}

TEST(Redactor, LeavesOtherNumbersAlone) {
  for (const char* text :
       {"I am 34 and weigh 82.5 kg", "2026-01-31 12:30", "on 31.01.2026 or 1/31/26",
        "2026-01-31 12 o'clock", "3.1415926535", "at 192.168.1.1 or 10.0.0.255", "120/80 mmHg",
        "1 2 3 4 5 6 7 8 9 10", "model ABC1234567890X", "1200000", "at 12:30:45", "a @ b", "x@y",
        "@name", "user@host", "1234567890123456789012345", ""}) {
    EXPECT_EQ(redacted(text), text);
  }
}

TEST(Redactor, NumbersItsPlaceholdersThroughTheSession) {
  Redactor redactor;
  EXPECT_EQ(redactor.redact("a@x.com"), "<EMAIL_1>");
  EXPECT_EQ(redactor.redact("b@x.com, then A@x.com"), "<EMAIL_2>, then <EMAIL_1>");
  EXPECT_EQ(redactor.redact("(555) 123-4567"), "<PHONE_1>");
  EXPECT_EQ(redactor.redact("555.123.4567"), "<PHONE_1>");
  EXPECT_EQ(redactor.replaced(Secret::kEmail), 3u);
  EXPECT_EQ(redactor.replaced(Secret::kPhone), 2u);
  EXPECT_EQ(redactor.replaced(Secret::kCard), 0u);
}

TEST(Redactor, GoesThroughEveryStringOfAJsonValue) {
  Json value = {{"a", "jo@x.com"}, {"list", {"555-123-4567", 5, {{"deep", "jo@x.com"}}}}};
  Redactor().redact(value);
  EXPECT_EQ(dump_json(value), R"({"a":"<EMAIL_1>","list":["<PHONE_1>",5,{"deep":"<EMAIL_1>"}]})");
}

// The Luhn sum, digit by digit from the definition.
bool luhn_by_definition(const std::string& digits) {
  int sum = 0;
  bool doubled = false;
  for (auto d = digits.rbegin(); d != digits.rend(); ++d, doubled = !doubled) {
    const int value = (*d - '0') * (doubled ? 2 : 1);
    sum += value / 10 + value % 10;
  }
  return sum % 10 == 0;
}

TEST(Redactor, CardsAreTheLongNumbersThatPassTheLuhnCheck) {
  Rng rng(1);
  int cards = 0;
  for (int i = 0; i < 20'000; ++i) {
    std::string digits(16 + rng.below(4), '0');  // 16 or more: never a phone number
    for (char& d : digits) d = static_cast<char>('0' + rng.below(10));
    const bool card = luhn_by_definition(digits);
    cards += card;
    ASSERT_EQ(redacted(digits), card ? "<CARD_1>" : digits);
  }
  EXPECT_GT(cards, 1000);
}

TEST(Redactor, TakesTimeInProportionToTheText) {
  std::string digits, groups, ats;
  for (int i = 0; i < 500'000; ++i) {
    digits += '7';
    groups += "7 ";
    ats += "a@";
  }
  EXPECT_EQ(redacted(digits), digits);
  EXPECT_EQ(redacted(groups), groups);
  EXPECT_EQ(redacted(ats), ats);
}

}  // namespace
}  // namespace l2a
