#include "llm/wire.h"

#include <algorithm>
#include <array>

#include "base/utf8.h"

namespace l2a {
namespace {

constexpr size_t kQuotedBytes = 300;

Error not_protocol(const std::string& why, std::string_view body) {
  return {ErrorCode::kInvalidInput, why + ": " + error_text(body)};
}

// A count that an endpoint claims; nullopt for anything that is none.
std::optional<int64_t> count_in(const Json& usage, const char* key) {
  const auto found = usage.find(key);
  if (found == usage.end() || !found->is_number_integer()) return std::nullopt;
  const auto count = found->get<int64_t>();
  constexpr int64_t kMost = int64_t{1} << 40;
  return count >= 0 && count <= kMost ? std::optional(count) : std::nullopt;
}

std::optional<TokenUsage> usage_of(const Json& answer) {
  const auto usage = answer.find("usage");
  if (usage == answer.end() || !usage->is_object()) return std::nullopt;
  const auto prompt = count_in(*usage, "prompt_tokens");
  const auto completion = count_in(*usage, "completion_tokens");
  if (!prompt || !completion) return std::nullopt;
  return TokenUsage{*prompt, *completion};
}

// Where errors and cut replies quote conversations.
bool quotes_data(const std::string& key) {
  constexpr std::array kKeys = {"input", "messages", "prompt", "content", "choices", "body"};
  return std::find(kKeys.begin(), kKeys.end(), key) != kKeys.end();
}

void add_texts(const Json& value, std::string& texts) {
  if (value.is_string()) texts += value.get_ref<const std::string&>() + "\n";
  if (value.is_array()) {
    for (const Json& element : value) add_texts(element, texts);
  }
  if (value.is_object()) {
    for (const auto& [key, inner] : value.items()) {
      if (!quotes_data(key)) add_texts(inner, texts);
    }
  }
}

}  // namespace

std::string request_body(const ChatRequest& request, const LlmOptions& options) {
  Json body = {{"model", options.model}};
  Json& messages = body["messages"] = Json::array();
  for (const ChatMessage& message : request.messages) {
    messages.push_back({{"role", message.role}, {"content", message.content}});
  }
  if (options.send_temperature) body["temperature"] = request.temperature;
  body[options.max_tokens_key] = request.max_tokens;
  if (options.send_seed) body["seed"] = request.sample;
  if (!request.schema.is_null() && options.response_format == "json_schema") {
    body["response_format"] = {
        {"type", "json_schema"},
        {"json_schema", {{"name", "answer"}, {"strict", true}, {"schema", request.schema}}}};
  } else if (!request.schema.is_null() && options.response_format == "json_object") {
    body["response_format"] = {{"type", "json_object"}};
  }
  return dump_json(body);
}

Result<ChatReply> read_reply(std::string_view body) {
  const auto answer = parse_json(body);
  if (!answer) return not_protocol(answer.error().message, body);
  if (!answer->is_object()) return not_protocol("expected an object", body);
  const auto choices = answer->find("choices");
  if (choices == answer->end() || !choices->is_array() || choices->empty()) {
    return not_protocol("'choices': missing", body);
  }
  const Json& choice = choices->front();
  const auto message = choice.is_object() ? choice.find("message") : choice.end();
  if (message == choice.end()) return not_protocol("'message': missing", body);
  ChatReply reply{.text = "", .usage = usage_of(*answer)};
  const auto finish = choice.find("finish_reason");
  reply.truncated = finish != choice.end() && *finish == "length";
  const auto content = message->is_object() ? message->find("content") : message->end();
  // A model that is cut while it still thinks has said nothing.
  if (reply.truncated && content != message->end() && content->is_null()) return reply;
  const bool declines = content == message->end() || content->is_null();
  auto text =
      get_string(*message, declines && message->contains("refusal") ? "refusal" : "content");
  if (!text) return not_protocol(text.error().message, body);
  reply.text = std::move(*text);
  return reply;
}

std::string setting_to_change(std::string_view error, const LlmOptions& options) {
  const auto says = [&](std::string_view text) { return error.find(text) != error.npos; };
  const bool unknown = says("nsupported") || says("not support") || says("not permitted") ||
                       says("nrecognized") || says("nknown") || says("nexpected");
  const bool sends_schema = options.response_format == "json_schema";
  if ((says("json_schema") && sends_schema) ||
      (says("response_format") && options.response_format != "none")) {
    return sends_schema ? " (try llm.response_format=json_object or none)"
                        : " (try llm.response_format=none)";
  }
  if (!unknown) return "";
  if (says("max_tokens") && says("max_completion_tokens") &&
      options.max_tokens_key == "max_tokens") {
    return " (try llm.max_tokens_key=max_completion_tokens)";
  }
  if (says("temperature") && options.send_temperature) return " (try llm.send_temperature=false)";
  if (says("seed") && options.send_seed) return " (try llm.send_seed=false)";
  return "";
}

std::string error_text(std::string_view body) {
  if (const auto parsed = parse_json(body); parsed && parsed->is_object()) {
    const auto error = parsed->find("error");
    const bool nested = error != parsed->end() && error->is_object();
    if (const auto message = get_string(nested ? *error : *parsed, nested ? "message" : "error")) {
      const auto code = nested ? get_string(*error, "code") : Result<std::string>(Error{});
      return shown(*message, kQuotedBytes) + (code ? " (" + shown(*code) + ")" : "");
    }
  }
  return body.empty() ? "an empty answer" : shown(body, kQuotedBytes);
}

std::string all_error_texts(std::string_view body) {
  const auto parsed = parse_json(body);
  if (!parsed) return body.starts_with('{') ? "" : std::string(body);
  std::string texts;
  add_texts(*parsed, texts);
  return texts;
}

}  // namespace l2a
