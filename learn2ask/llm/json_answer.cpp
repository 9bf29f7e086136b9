#include "llm/json_answer.h"

#include <string_view>

#include "base/utf8.h"

namespace l2a {
namespace {

constexpr size_t kShownBackBytes = 4096;  // of an answer that was wrong: it is paid for again
constexpr size_t kReportedBytes = 300;

// Up to "</think>". The "<think>" before it may stand in the prompt, as templates have it.
void cut_thoughts(std::string_view& text) {
  constexpr std::string_view kClose = "</think>";
  if (text.starts_with('{') || text.starts_with('`')) return;
  if (const size_t end = text.find(kClose); end != text.npos) {
    text.remove_prefix(end + kClose.size());
  }
}

// ```json ... ```
void cut_fence(std::string_view& text) {
  constexpr std::string_view kFence = "```";
  if (!text.starts_with(kFence) || !text.ends_with(kFence)) return;
  const size_t line_end = text.find('\n');
  if (line_end == text.npos) return;
  text = text.substr(line_end, text.size() - line_end - kFence.size());
}

}  // namespace

Result<Json> read_json_answer(const ChatReply& reply) {
  if (reply.truncated) {
    return Error{ErrorCode::kInvalidInput, "the answer was cut at the limit of its length"};
  }
  std::string whole = trim(reply.text);
  std::string_view text = whole;
  cut_thoughts(text);
  whole = trim(text);
  text = whole;
  cut_fence(text);
  auto json = parse_json(text);
  if (json && !json->is_object()) {
    return Error{ErrorCode::kInvalidInput, "expected a JSON object, got " + type_phrase(*json)};
  }
  return json;
}

ChatRequest ask_again(const ChatRequest& request, const ChatReply& reply, const std::string& wrong,
                      const std::string& correction) {
  ChatRequest again = request;
  again.messages.push_back({"assistant", shown(reply.text, kShownBackBytes)});
  std::string text = correction;
  constexpr std::string_view kPlace = "{error}";
  if (const size_t at = text.find(kPlace); at != text.npos) text.replace(at, kPlace.size(), wrong);
  again.messages.push_back({"user", std::move(text)});
  return again;
}

Error with_answer(const Error& wrong, const ChatReply& reply) {
  return {ErrorCode::kInvalidInput,
          wrong.message + "; the answer: \"" + shown(reply.text, kReportedBytes) + "\""};
}

int gravity_of(const Error& error) {
  if (error.code == ErrorCode::kInvalidInput) return 0;
  return error.code == ErrorCode::kUnsupported ? 1 : 2;
}

Error not_answered(Error error) {
  if (error.code == ErrorCode::kInvalidInput) error.code = ErrorCode::kUnsupported;
  return error;
}

}  // namespace l2a
