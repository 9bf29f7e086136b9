// The words of the OpenAI chat completions protocol: a request's body, and what an answer's body
// says. Pure functions. Source: OpenAI API reference, "Create chat completion".
#pragma once

#include <string>
#include <string_view>

#include "llm/chat.h"
#include "llm/options.h"

namespace l2a {

// The body of a call. Keys in a fixed order: equal requests have equal bodies.
std::string request_body(const ChatRequest& request, const LlmOptions& options);

// The first choice of an answer's body. kInvalidInput for anything else than one whole JSON object
// of the protocol: error texts, cut JSON, an answer without text. The message quotes its start.
Result<ChatReply> read_reply(std::string_view body);

// What an error's body says, on one line, short: the message of its "error" with the code, where it
// has them; else the start of the body.
std::string error_text(std::string_view body);

// " (try llm.send_seed=false)" where a refusal says that a key which `options` have sent is not
// known, or not so; else empty.
std::string setting_to_change(std::string_view error, const LlmOptions& options);

// All that an error's body says, of whatever form and length, less what it repeats of the request
// or of a reply: those speak of anything. Empty for JSON that was cut.
std::string all_error_texts(std::string_view body);

}  // namespace l2a
