#include "dialogue/csv.h"

#include "base/jsonl.h"
#include "base/utf8.h"

namespace l2a {
namespace {

constexpr size_t kMaxFields = 10'000;
constexpr int kEnd = std::char_traits<char>::eof();

std::optional<std::string> bad_text(const std::vector<std::string>& fields) {
  for (const std::string& field : fields) {
    if (find_bad_utf8(field)) return "invalid UTF-8";
    if (field.find('\0') != field.npos) return "NUL";
  }
  return std::nullopt;
}

}  // namespace

bool CsvReader::separates(char c) {
  if (!separator_ && in_first_row_ && (c == ',' || c == ';' || c == '\t')) separator_ = c;
  return c == separator_;
}

void CsvReader::refuse(size_t line, const std::string& why) const {
  fail_input(name_ + ":" + std::to_string(line) + ": " + why);
}

std::optional<Result<CsvRow>> CsvReader::next() {
  if (at_start_) {
    at_start_ = false;
    if (in_.peek() == 0xEF) {
      char mark[3];
      in_.read(mark, 3);
      if (std::string_view(mark, 3) != "\xEF\xBB\xBF") refuse(1, "invalid UTF-8");
    }
  }
  while (in_.peek() == '\n' || in_.peek() == '\r') line_ += in_.get() == '\n';
  if (in_.peek() == kEnd) {
    if (in_.bad()) fail(ErrorCode::kIo, name_ + ": reading failed");
    return std::nullopt;
  }

  CsvRow row{line_, {""}};
  enum { kFieldStart, kPlain, kQuoted, kAfterQuote } state = kFieldStart;
  size_t bytes = 0;
  for (;;) {
    const int c = in_.get();
    if (in_.bad()) fail(ErrorCode::kIo, name_ + ": reading failed");
    if (c == '\n') ++line_;
    std::string& field = row.fields.back();
    if (state == kQuoted) {
      if (c == kEnd) refuse(row.line, "a quoted field is not closed");
      if (c == '"') {
        state = kAfterQuote;
      } else {
        field += static_cast<char>(c);
      }
    } else if (c == kEnd || c == '\n') {
      break;
    } else if (c == '\r' && in_.peek() == '\n') {
      continue;
    } else if (separates(static_cast<char>(c))) {
      if (row.fields.size() == kMaxFields) {
        refuse(row.line, "more than " + std::to_string(kMaxFields) + " fields");
      }
      row.fields.emplace_back();
      state = kFieldStart;
    } else if (c == '"' && state == kFieldStart) {
      state = kQuoted;
    } else if (c == '"' && state == kAfterQuote) {  // a doubled quote
      field += '"';
      state = kQuoted;
    } else if (state == kAfterQuote) {
      refuse(line_, "text after the closing quote of a field");
    } else {
      field += static_cast<char>(c);
      state = kPlain;
    }
    if (++bytes > kMaxLineBytes) {
      refuse(row.line, "row longer than " + std::to_string(kMaxLineBytes >> 20) +
                           " MiB (is a quote not closed?)");
    }
  }
  in_first_row_ = false;
  if (const auto why = bad_text(row.fields)) {
    return Error{ErrorCode::kInvalidInput, name_ + ":" + std::to_string(row.line) + ": " + *why};
  }
  return row;
}

}  // namespace l2a
