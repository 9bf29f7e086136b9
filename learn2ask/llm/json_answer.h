// Answers that are to be JSON: read, checked, and asked for once more when they are not.
#pragma once

#include <functional>
#include <string>
#include <utility>

#include "llm/chat.h"

namespace l2a {

// The JSON object that an answer consists of. White space and a code fence around it are left out,
// and thoughts before it, up to "</think>"; anything else beside it is an Error, and so is an
// answer that was cut.
Result<Json> read_json_answer(const ChatReply& reply);

// The same request with the answer and what was wrong with it, to be answered again. `correction`
// is the user's message; "{error}" in it stands for `wrong`.
ChatRequest ask_again(const ChatRequest& request, const ChatReply& reply, const std::string& wrong,
                      const std::string& correction);

// What was wrong with an answer, and its beginning: all of it is in the cache. kInvalidInput.
Error with_answer(const Error& wrong, const ChatReply& reply);

// Of two reasons why there is no value the higher one counts: 0 a wrong answer, 1 a call that the
// endpoint would not take, 2 no answer at all.
int gravity_of(const Error& error);

// Why a call has no answer. Never kInvalidInput, which is what a wrong answer has: kUnsupported
// where the endpoint would not take this call.
Error not_answered(Error error);

// Submits `request`; `read` takes the value out of its answer or says what is wrong with it, in
// which case the model is asked once more. `on_value` is called once: with the value, with what was
// wrong the second time (kInvalidInput), or with why there is no answer (any other code).
template <class Value>
void ask_json(ChatClient& client, const ChatRequest& request, const std::string& correction,
              std::function<Result<Value>(const Json&)> read,
              std::function<void(Result<Value>)> on_value) {
  const auto take = [read](const ChatReply& reply) -> Result<Value> {
    const auto json = read_json_answer(reply);
    return json ? read(*json) : Result<Value>(json.error());
  };
  client.submit(request, [&client, request, correction, take, on_value](Result<ChatReply> first) {
    if (!first) return on_value(not_answered(first.error()));
    Result<Value> value = take(*first);
    if (value) return on_value(std::move(value));
    client.submit(ask_again(request, *first, value.error().message, correction),
                  [take, on_value](Result<ChatReply> second) {
                    if (!second) return on_value(not_answered(second.error()));
                    Result<Value> again = take(*second);
                    on_value(again ? std::move(again) : with_answer(again.error(), *second));
                  });
  });
}

}  // namespace l2a
