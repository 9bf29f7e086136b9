// CSV as RFC 4180 has it: quoted fields that may hold separators, newlines and doubled quotes, CRLF
// or LF. Streaming. What separates fields is the first comma, semicolon or tab of the first row
// outside quotes: spreadsheets write what their country uses.
#pragma once

#include <istream>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"

namespace l2a {

struct CsvRow {
  size_t line = 0;  // 1-based, where the row starts
  std::vector<std::string> fields;
};

// Memory stays at one row, at most kMaxLineBytes (base/jsonl.h). Blank lines are passed over, and
// a UTF-8 byte order mark at the start. Not thread-safe.
class CsvReader {
 public:
  // `in`, named `name` in messages, must outlive the reader.
  CsvReader(std::istream& in, std::string name) : in_(in), name_(std::move(name)) {}

  // The next row; nullopt at the end. An Error ("FILE:LINE: why") for a row that holds invalid
  // UTF-8 or NUL; the reader has passed it. Throws Failure where the rows after it cannot be found
  // any more: a quote that is not closed, text after a closing quote, a row that is too long or has
  // more than 10,000 fields.
  std::optional<Result<CsvRow>> next();

 private:
  [[noreturn]] void refuse(size_t line, const std::string& why) const;
  bool separates(char c);
  std::istream& in_;
  std::string name_;
  size_t line_ = 1;  // of the next character
  bool at_start_ = true;
  bool in_first_row_ = true;
  std::optional<char> separator_;  // once one was seen
};

}  // namespace l2a
