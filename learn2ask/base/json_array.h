// A JSON file that is one array, read an element at a time.
#pragma once

#include <istream>
#include <optional>
#include <string>

#include "base/jsonl.h"

namespace l2a {

// Memory stays at one element, at most kMaxLineBytes. A UTF-8 byte order mark at the start is
// passed over. Not thread-safe.
class JsonArrayReader {
 public:
  // Reads from `in`, named `name` in messages, which must outlive the reader.
  JsonArrayReader(std::istream& in, std::string name) : in_(in), name_(std::move(name)) {}

  // The next element, with the line where it starts; nullopt at the end. An Error ("FILE:LINE:
  // why") for an element that is too long or is not a JSON object; the reader has passed it. Throws
  // Failure where the elements after it cannot be found any more: no array, one that is not closed,
  // text after it; kIo when reading itself fails.
  std::optional<Result<JsonLine>> next();

 private:
  int get();
  int get_past_space();
  void begin();
  bool read_element(std::string& text, int first);
  [[noreturn]] void refuse(size_t line, const std::string& why) const;

  std::istream& in_;
  std::string name_;
  size_t line_ = 1;         // of the next character
  size_t opened_at_ = 0;    // line of the array's bracket; 0: not read yet
  bool is_closed_ = false;  // the bracket was read
};

}  // namespace l2a
