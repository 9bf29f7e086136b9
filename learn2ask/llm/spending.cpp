#include "llm/spending.h"

namespace l2a {
namespace {

constexpr int64_t kBytesPerToken = 4, kTokensOfTemplate = 16;

int64_t bytes_of(const ChatRequest& request) {
  size_t bytes = 0;
  for (const ChatMessage& message : request.messages) {
    bytes += message.role.size() + message.content.size();
  }
  if (!request.schema.is_null()) bytes += dump_json(request.schema).size();
  return static_cast<int64_t>(bytes);
}

int64_t template_tokens(const ChatRequest& request) {
  return kTokensOfTemplate * static_cast<int64_t>(request.messages.size());
}

}  // namespace

int64_t estimated_prompt_tokens(const ChatRequest& request) {
  return bytes_of(request) / kBytesPerToken + template_tokens(request);
}

double cost_of(const TokenUsage& usage, const LlmOptions& options) {
  return (static_cast<double>(usage.prompt) * options.price_prompt +
          static_cast<double>(usage.completion) * options.price_completion) /
         1e6;
}

double highest_cost(const ChatRequest& request, const LlmOptions& options) {
  return cost_of({bytes_of(request) + template_tokens(request), request.max_tokens}, options);
}

Budget::Budget(const LlmOptions& options, const Ledger& ledger)
    : limit_(options.max_spend), ledger_(ledger) {
  if (limit_ > 0 && options.price_prompt == 0 && options.price_completion == 0) {
    fail_input("llm.max_spend: needs llm.price_prompt and llm.price_completion");
  }
}

bool Budget::reserve(double cost) {
  if (limit_ > 0 && spent() + reserved_ + cost > limit_) return false;
  reserved_ += cost;
  return true;
}

}  // namespace l2a
