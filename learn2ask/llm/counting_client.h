// Counts calls instead of making them: what a command would ask for, and what that would cost.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "llm/chat.h"
#include "llm/options.h"
#include "llm/reply_cache.h"

namespace l2a {

struct CallEstimate {
  int64_t calls = 0;   // that would be sent; second questions after a bad answer are not foreseen
  int64_t cached = 0;  // whose answers are there already, or will be when they are asked
  int64_t prompt_tokens = 0;           // about
  int64_t most_completion_tokens = 0;  // if each answer were as long as it may be
  double most_cost = 0;

  CallEstimate& operator+=(const CallEstimate& other);
};

// "720 calls (12 more are answered by the cache), about 345678 tokens of prompts and at most
//  737280 of answers, cost at most 1.2345"
std::string to_text(const CallEstimate& estimate);

// Every call ends in an Error with the code kCounted. Not thread-safe.
class CountingClient final : public ChatClient {
 public:
  static constexpr ErrorCode kCounted = ErrorCode::kUnsupported;

  // `cache` may be null.
  CountingClient(LlmOptions options, ReplyCache* cache);
  std::string name() const override { return "nobody (calls are counted)"; }
  void submit(ChatRequest request, OnReply on_reply) override;
  void run() override;
  const CallEstimate& estimate() const { return estimate_; }

 private:
  LlmOptions options_;
  std::string url_;
  ReplyCache* cache_;
  CallEstimate estimate_;
  std::vector<OnReply> waiting_;
  std::set<std::string> asked_;  // an equal call gets the same answer: it is asked once
};

}  // namespace l2a
