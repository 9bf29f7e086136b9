#include "llm/spending.h"

#include <charconv>
#include <set>

#include <fmt/format.h>

#include "base/utf8.h"

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

// A price from 0 up; nullopt: none.
std::optional<double> price_in(std::string_view text) {
  double price = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), price);
  const bool whole = error == std::errc() && end == text.data() + text.size();
  return whole && price >= 0 && price <= 1e6 ? std::optional(price) : std::nullopt;
}

}  // namespace

LlmOptions options_of_model(LlmOptions options, const std::string& model) {
  options.model = model;
  bool has_price = options.price_prompt > 0 || options.price_completion > 0;
  std::set<std::string> priced;
  for (const std::string_view entry : options.prices) {
    const size_t equals = entry.rfind('='), slash = entry.rfind('/');  // names may have both
    const bool split = equals != entry.npos && slash != entry.npos && equals < slash;
    const auto prompt =
        split ? price_in(entry.substr(equals + 1, slash - equals - 1)) : std::nullopt;
    const auto completion = split ? price_in(entry.substr(slash + 1)) : std::nullopt;
    if (!prompt || !completion || equals == 0) {
      fail_input("llm.prices: '" + shown(entry) +
                 "': expected MODEL=PROMPT/COMPLETION, each the price of a million tokens");
    }
    const std::string name(entry.substr(0, equals));
    if (!priced.insert(name).second) fail_input("llm.prices: '" + shown(name) + "' stands twice");
    if (name != model) continue;
    has_price = true;
    options.price_prompt = *prompt;
    options.price_completion = *completion;
  }
  if (options.max_spend > 0 && !has_price) {
    fail_input("llm.max_spend: needs llm.price_prompt and llm.price_completion, or '" +
               shown(model) + "' in llm.prices");
  }
  return options;
}

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
    : max_spend_(options.max_spend), max_calls_(options.max_calls), ledger_(ledger) {}

std::optional<std::string> Budget::reserve(double cost) {
  if (max_calls_ > 0 && ledger_.totals().sent >= max_calls_) {
    return fmt::format("llm.max_calls: {} of {} calls are made", ledger_.totals().sent, max_calls_);
  }
  if (max_spend_ > 0 && spent() + reserved_ + cost > max_spend_) {
    return fmt::format(
        "llm.max_spend: {:.4f} of {:.4f} is spent, and the next call may cost {:.4f}", spent(),
        max_spend_, cost);
  }
  reserved_ += cost;
  return std::nullopt;
}

}  // namespace l2a
