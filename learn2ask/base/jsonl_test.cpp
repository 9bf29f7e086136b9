#include "base/jsonl.h"

#include <fstream>
#include <sstream>

#include <gtest/gtest.h>
#include <sys/resource.h>

#include "base/file.h"
#include "base/testing.h"

namespace l2a {
namespace {

// Each line as it was read: its number and text, or the error.
std::vector<std::string> read_all(const std::string& text) {
  std::istringstream in(text);
  JsonlReader reader(in, "log");
  std::vector<std::string> seen;
  while (auto line = reader.next()) {
    seen.push_back(*line ? std::to_string((*line)->number) + " " + dump_json((*line)->value)
                         : line->error().message);
  }
  return seen;
}

using Lines = std::vector<std::string>;

// An endless line, made as it is read.
class LongLine final : public std::streambuf {
 public:
  LongLine(size_t bytes, std::string after) : left_(bytes), after_(std::move(after)) {}

 private:
  int_type underflow() override {
    if (left_ > 0) {
      const size_t size = std::min(left_, sizeof chunk_);
      std::fill(chunk_, chunk_ + size, 'x');
      left_ -= size;
      setg(chunk_, chunk_, chunk_ + size);
    } else if (!after_.empty()) {
      rest_ = std::exchange(after_, "");
      setg(rest_.data(), rest_.data(), rest_.data() + rest_.size());
    } else {
      return traits_type::eof();
    }
    return traits_type::to_int_type(*gptr());
  }
  size_t left_;
  std::string after_, rest_;
  char chunk_[1 << 16];
};

TEST(JsonlReader, ReadsLinesWhateverTheirEnds) {
  EXPECT_EQ(read_all(""), Lines{});
  EXPECT_EQ(read_all("{\"a\":1}"), Lines{"1 {\"a\":1}"});
  EXPECT_EQ(read_all("{\"a\":1}\n{}\n"), (Lines{"1 {\"a\":1}", "2 {}"}));
  EXPECT_EQ(read_all("\xEF\xBB\xBF{}\r\n\r\n \t\n{\"b\":2}\r\n"), (Lines{"1 {}", "4 {\"b\":2}"}));
  EXPECT_EQ(read_all("\n\n\n"), Lines{});
}

TEST(JsonlReader, GoesOnAfterEachBadLine) {
  EXPECT_EQ(read_all(std::string("{\n[1]\n{\"a\":\"\xff\"}\n{\"a\":\"\0\"}\n{}\n", 29)),
            (Lines{"log:1: byte 2: not JSON: unexpected end of input; expected string literal",
                   "log:2: expected a JSON object", "log:3: byte 7: invalid UTF-8",
                   "log:4: byte 7: NUL", "5 {}"}));
}

TEST(JsonlReader, LinesOfEveryLengthAroundItsBufferArriveWhole) {
  for (const size_t size : {(1u << 14) - 3, (1u << 14) - 2, (1u << 14) - 1, 1u << 14,
                            (1u << 14) + 1, (1u << 15) - 2, (1u << 15) - 1, 1u << 15}) {
    for (const char* end : {"", "\n", "\r\n"}) {
      const std::string line = "{\"a\":\"" + std::string(size - 8, 'x') + "\"}";
      EXPECT_EQ(read_all(line + end), Lines{"1 " + line}) << size;
    }
  }
}

TEST(JsonlReader, TheLongestLineIsReadAndOneByteMoreIsNot) {
  const std::string fits = "{\"a\":\"" + std::string(kMaxLineBytes - 8, 'x') + "\"}";
  EXPECT_EQ(read_all(fits + "\n{}"), (Lines{"1 " + fits, "2 {}"}));
  EXPECT_EQ(read_all(fits + " \n{}"), (Lines{"log:1: line longer than 16 MiB", "2 {}"}));
}

TEST(JsonlReader, AnEndlessLineIsPassedWithoutBeingKept) {
  rusage before{}, after{};
  getrusage(RUSAGE_SELF, &before);
  LongLine source(size_t{1} << 30, "\n{\"a\":1}\n");
  std::istream in(&source);
  JsonlReader reader(in, "log");
  EXPECT_EQ(reader.next()->error().message, "log:1: line longer than 16 MiB");
  EXPECT_EQ((*reader.next())->number, 2u);
  EXPECT_FALSE(reader.next());
  getrusage(RUSAGE_SELF, &after);
  EXPECT_LT(after.ru_maxrss - before.ru_maxrss, 100 << 10);  // KiB; the line has 1 GiB
}

TEST(JsonlReader, SaysWhyAFileCannotBeOpened) {
  const TempDir dir;
  EXPECT_EQ(failure_of([&] { JsonlReader((dir / "none")); }),
            (dir / "none").string() + ": no such file");
  EXPECT_EQ(failure_of([&] { JsonlReader(dir.path()); }), dir.path().string() + ": is a directory");
}

FileHeader header_of(const char* format) {
  FileHeader header;
  header.format = format;
  return header;
}

TEST(FileHeader, IsReadBackAsItWasWritten) {
  FileHeader header{"labels", 1, "label x", "c", "i", Json::object()};
  header.extra["prompts"] = {{"a", "hash"}};
  const Json line = to_json(header);
  const auto back = read_header(line, "labels", "f:1");
  ASSERT_TRUE(back);
  EXPECT_EQ(to_json(*back), line);
  EXPECT_EQ(back->extra, header.extra);
  EXPECT_FALSE(read_header(Json{{"session_id", 1}}, "labels", "f:1"));
}

TEST(FileHeader, OfAnotherFormatOrANewerVersionIsRefused) {
  Json line = to_json(header_of("labels"));
  EXPECT_EQ(failure_of([&] { read_header(line, "sessions", "f:1"); }),
            "f:1: expected a file of 'sessions', got one of 'labels'");
  line["version"] = 2;
  EXPECT_EQ(failure_of([&] { read_header(line, "labels", "f:1"); }),
            "f:1: made by a newer version of this program (file version 2, known up to 1)");
  line["version"] = "1";
  EXPECT_EQ(failure_of([&] { read_header(line, "labels", "f:1"); }),
            "f:1: header: 'version': expected a number, got a string");
}

TEST(RequireReplaceable, LetsACommandReplaceWhatItWroteAndNothingElse) {
  const TempDir dir;
  const auto path = dir / "out.jsonl";
  const auto said = [&](const std::string& bytes) {
    write_file_atomic(path, bytes);
    return failure_of([&] { require_replaceable(path, "learn2ask label"); });
  };
  const auto header = [](const std::string& command) {
    return dump_json(to_json(FileHeader{.format = "labels", .command = command})) + "\n";
  };
  require_replaceable(path, "learn2ask label");  // nothing is there
  for (const std::string& own :
       {std::string(), header("learn2ask label"), header("learn2ask label a --out b") + "{}\n"}) {
    write_file_atomic(path, own);
    require_replaceable(path, "learn2ask label");
  }
  for (const std::string& other :
       {std::string("{\"command\":\"learn2ask label\"}\n"), std::string("\n"),
        std::string("role,text\n"), header("learn2ask labels"), header("learn2ask"),
        header("import"), "{}\n" + header("learn2ask label")}) {
    EXPECT_EQ(said(other), path.string() +
                               ": is there already, and not from learn2ask label; it is not "
                               "overwritten (give another --out)")
        << other;
  }
}

TEST(JsonlReader, TakesAnyValueWhereAnyIsAskedFor) {
  std::istringstream in("[1]\n\n\"x\"\r\n{\n3");
  JsonlReader reader(in, "log");
  std::vector<std::string> seen;
  while (auto line = reader.next_value()) {
    seen.push_back(*line ? std::to_string((*line)->number) + " " + dump_json((*line)->value)
                         : line->error().message);
  }
  EXPECT_EQ(
      seen,
      (Lines{"1 [1]", "3 \"x\"",
             "log:4: byte 2: not JSON: unexpected end of input; expected string literal", "5 3"}));
}

TEST(ForEachRow, PassesTheHeaderOverAndStopsAtTheFirstBadLine) {
  const TempDir dir;
  const auto path = dir / "rows.jsonl";
  write_file_atomic(path, dump_json(to_json(header_of("rows"))) + "\n{\"n\":1}\n{\n");
  std::vector<size_t> numbers;
  const auto collect = [&](JsonLine&& line) { numbers.push_back(line.number); };
  EXPECT_EQ(
      failure_of([&] { for_each_row(path, "rows", collect); }),
      path.string() + ":3: byte 2: not JSON: unexpected end of input; expected string literal");
  EXPECT_EQ(numbers, std::vector<size_t>{2});
  write_file_atomic(path, "{\"n\":1}\n");
  numbers.clear();
  EXPECT_FALSE(for_each_row(path, "rows", collect));
  EXPECT_EQ(numbers, std::vector<size_t>{1});
}

TEST(ForEachRow, NamesTheLineThatItsUserRefuses) {
  const TempDir dir;
  const auto path = dir / "rows.jsonl";
  write_file_atomic(path, "{\"a\": 1}\n\n{\"a\": 2}\n");
  size_t rows = 0;
  try {
    for_each_row(path, "rows", [&](JsonLine&&) {
      if (++rows == 2) fail(ErrorCode::kUnavailable, "no");
    });
    FAIL();
  } catch (const Failure& failure) {
    EXPECT_EQ(failure.error.message, path.string() + ":3: no");
    EXPECT_EQ(failure.error.code, ErrorCode::kUnavailable);
  }
}

}  // namespace
}  // namespace l2a
