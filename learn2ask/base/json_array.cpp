#include "base/json_array.h"

#include "base/error.h"

namespace l2a {
namespace {

constexpr int kEnd = std::char_traits<char>::eof();

bool is_space(int c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }

}  // namespace

void JsonArrayReader::refuse(size_t line, const std::string& why) const {
  fail_input(name_ + ":" + std::to_string(line) + ": " + why);
}

int JsonArrayReader::get() {
  const int c = in_.get();
  if (in_.bad()) fail(ErrorCode::kIo, name_ + ": reading failed");
  line_ += c == '\n';
  return c;
}

int JsonArrayReader::get_past_space() {
  int c = get();
  while (is_space(c)) c = get();
  return c;
}

void JsonArrayReader::begin() {
  int c = get_past_space();
  if (c == 0xEF && get() == 0xBB && get() == 0xBF) c = get_past_space();
  if (c != '[') refuse(line_, "expected a JSON array");
  opened_at_ = line_;
}

// Reads to the comma or bracket that ends the element, by brackets and quotes alone: whether it is
// JSON is seen when it is parsed. False where it is too long; only its beginning is kept then.
bool JsonArrayReader::read_element(std::string& text, int first) {
  size_t depth = 0;
  bool quoted = false, escaped = false, fits = true;
  for (int c = first;; c = get()) {
    if (c == kEnd) refuse(opened_at_, "the array that begins here is not closed");
    if (quoted) {
      quoted = escaped || c != '"';
      escaped = !escaped && c == '\\';
    } else if (c == '"') {
      quoted = true;
    } else if (c == '{' || c == '[') {
      ++depth;
    } else if (depth == 0 && (c == ',' || c == ']')) {
      is_closed_ = c == ']';
      return fits;
    } else if (c == '}' || c == ']') {
      depth -= depth > 0;
    }
    fits = fits && text.size() < kMaxLineBytes;
    if (fits) text += static_cast<char>(c);
  }
}

std::optional<Result<JsonLine>> JsonArrayReader::next() {
  const bool is_first = opened_at_ == 0;
  if (is_first) begin();
  if (is_closed_) {
    if (get_past_space() != kEnd) refuse(line_, "text after the array");
    return std::nullopt;
  }
  const int c = get_past_space();
  const size_t line = line_;
  if (is_first && c == ']') {
    is_closed_ = true;
    return next();
  }
  std::string text;
  const auto bad = [&](const std::string& why) {
    return Error{ErrorCode::kInvalidInput, name_ + ":" + std::to_string(line) + ": " + why};
  };
  if (!read_element(text, c)) {
    return bad("element longer than " + std::to_string(kMaxLineBytes >> 20) + " MiB");
  }
  auto value = parse_json(text);
  if (!value) return bad(value.error().message);
  if (!value->is_object()) return bad("expected a JSON object");
  return JsonLine{line, std::move(*value)};
}

}  // namespace l2a
