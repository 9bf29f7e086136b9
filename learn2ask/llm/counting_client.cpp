#include "llm/counting_client.h"

#include <utility>

#include <fmt/format.h>

#include "llm/endpoint.h"
#include "llm/spending.h"
#include "llm/wire.h"

namespace l2a {

CallEstimate& CallEstimate::operator+=(const CallEstimate& other) {
  calls += other.calls;
  cached += other.cached;
  prompt_tokens += other.prompt_tokens;
  most_completion_tokens += other.most_completion_tokens;
  most_cost += other.most_cost;
  return *this;
}

std::string to_text(const CallEstimate& estimate) {
  return fmt::format(
      "{} calls{}, about {} tokens of prompts and at most {} of answers, cost at most {:.4f}",
      estimate.calls,
      estimate.cached > 0 ? fmt::format(" ({} more are answered by the cache)", estimate.cached)
                          : "",
      estimate.prompt_tokens, estimate.most_completion_tokens, estimate.most_cost);
}

CountingClient::CountingClient(LlmOptions options, ReplyCache* cache)
    : options_(std::move(options)), url_(read_endpoint(options_).url), cache_(cache) {}

void CountingClient::submit(ChatRequest request, OnReply on_reply) {
  const std::string key = call_key(url_, request_body(request, options_), request.sample);
  const bool is_new = asked_.insert(key).second;
  if (!is_new || (cache_ != nullptr && cache_->find(key))) {
    ++estimate_.cached;
  } else {
    const TokenUsage usage{estimated_prompt_tokens(request), request.max_tokens};
    ++estimate_.calls;
    estimate_.prompt_tokens += usage.prompt;
    estimate_.most_completion_tokens += usage.completion;
    estimate_.most_cost += highest_cost(request, options_);
  }
  waiting_.push_back(std::move(on_reply));
}

void CountingClient::run() {
  if (options_.cache.empty()) asked_.clear();  // nothing keeps their answers
  while (!waiting_.empty()) {
    for (const OnReply& on_reply : std::exchange(waiting_, {})) {
      on_reply(Error{kCounted, "the call was counted, not made"});
    }
  }
}

}  // namespace l2a
