#include "dialogue/csv.h"

#include <sstream>

#include <gtest/gtest.h>

#include "base/jsonl.h"
#include "base/rng.h"
#include "base/testing.h"

namespace l2a {
namespace {

using Rows = std::vector<std::vector<std::string>>;

Rows read_all(const std::string& text) {
  std::istringstream in(text);
  CsvReader reader(in, "log.csv");
  Rows rows;
  while (auto row = reader.next()) {
    rows.push_back(*row ? (*row)->fields : std::vector<std::string>{row->error().message});
  }
  return rows;
}

TEST(CsvReader, ReadsWhatRfc4180Allows) {
  EXPECT_EQ(read_all(""), Rows{});
  EXPECT_EQ(read_all("a,b\r\n1,2"), (Rows{{"a", "b"}, {"1", "2"}}));
  EXPECT_EQ(read_all("\xEF\xBB\xBF"
                     "a,\n,\n"),
            (Rows{{"a", ""}, {"", ""}}));
  EXPECT_EQ(read_all("\"a,b\",\"say \"\"hi\"\"\",\"two\r\nlines\"\n"),
            (Rows{{"a,b", "say \"hi\"", "two\r\nlines"}}));
  EXPECT_EQ(read_all("\n\r\na\n\n\nb\n"), (Rows{{"a"}, {"b"}}));
  EXPECT_EQ(read_all("\"\",x"), (Rows{{"", "x"}}));
  EXPECT_EQ(read_all("it's 5\" wide,x\n"), (Rows{{"it's 5\" wide", "x"}}));
}

TEST(CsvReader, ARowHasTenThousandFieldsAtMost) {
  EXPECT_EQ(read_all(std::string(9'999, ','))[0].size(), 10'000u);
  EXPECT_EQ(failure_of([] { read_all("a,b\n" + std::string(10'000, ',')); }),
            "log.csv:2: more than 10000 fields");
}

TEST(CsvReader, TakesTheSeparatorOfTheFirstRow) {
  EXPECT_EQ(read_all("a;b\n1,5;\"x;y\"\n"), (Rows{{"a", "b"}, {"1,5", "x;y"}}));
  EXPECT_EQ(read_all("a\tb\n1;2,3\t\n"), (Rows{{"a", "b"}, {"1;2,3", ""}}));
  EXPECT_EQ(read_all("\"a;b\",c;d\n"), (Rows{{"a;b", "c;d"}}));
  EXPECT_EQ(read_all("text\nyes, it is; so\n"), (Rows{{"text"}, {"yes, it is; so"}}));
}

TEST(CsvReader, KnowsTheLineWhereARowStarts) {
  std::istringstream in("a\n\"two\nlines\"\n\nb\n");
  CsvReader reader(in, "log.csv");
  std::vector<size_t> lines;
  while (auto row = reader.next()) lines.push_back((*row)->line);
  EXPECT_EQ(lines, (std::vector<size_t>{1, 2, 5}));
}

TEST(CsvReader, GoesOnAfterARowThatIsNoText) {
  EXPECT_EQ(read_all(std::string("a\n\xff,b\nc\0,d\ne\n", 13)),
            (Rows{{"a"}, {"log.csv:2: invalid UTF-8"}, {"log.csv:3: NUL"}, {"e"}}));
}

TEST(CsvReader, StopsWhereRowsCannotBeToldApart) {
  EXPECT_EQ(failure_of([] { read_all("a,b\n1,\"open\n2,x\n"); }),
            "log.csv:2: a quoted field is not closed");
  EXPECT_EQ(failure_of([] { read_all("a\n\"x\"y\n"); }),
            "log.csv:2: text after the closing quote of a field");
  EXPECT_EQ(failure_of([] { read_all("a\n\"" + std::string(kMaxLineBytes + 1, 'x')); }),
            "log.csv:2: row longer than 16 MiB (is a quote not closed?)");
}

TEST(CsvReader, ReadsBackWhatWasWritten) {
  Rng rng(1);
  for (int i = 0; i < 5000; ++i) {
    Rows rows;
    std::string text;
    const char separator = ",;\t"[rng.below(3)];
    const uint64_t columns = 1 + rng.below(4);
    for (uint64_t r = 1 + rng.below(4); r > 0; --r) {
      std::vector<std::string> row;
      for (uint64_t f = columns; f > 0; --f) {
        std::string field = "x", quoted = "\"x";  // not blank: blank lines are passed over
        for (uint64_t n = rng.below(6); n > 0; --n) {
          const char c = "ab,;\t\"\r\n "[rng.below(9)];
          field += c;
          quoted += c == '"' ? std::string("\"\"") : std::string(1, c);
        }
        text += (row.empty() ? "" : std::string(1, separator)) + quoted + "\"";
        row.push_back(field);
      }
      text += rng.chance(0.5) ? "\n" : "\r\n";
      rows.push_back(row);
    }
    ASSERT_EQ(read_all(text), rows) << text;
  }
}

}  // namespace
}  // namespace l2a
