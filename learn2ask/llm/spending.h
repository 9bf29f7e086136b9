// What calls cost, and what may still be spent.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "llm/chat.h"
#include "llm/ledger.h"
#include "llm/options.h"

namespace l2a {

// Tokens of the messages and the schema, about: four bytes each, as in English.
int64_t estimated_prompt_tokens(const ChatRequest& request);

// `options` for calls of `model`, at its prices. Throws Failure for a price that is not of the form
// MODEL=PROMPT/COMPLETION, or that a model has twice; and where max_spend has to be kept and the
// model has no price.
LlmOptions options_of_model(LlmOptions options, const std::string& model);

double cost_of(const TokenUsage& usage, const LlmOptions& options);

// No call costs more: no tokenizer makes more tokens than a text has bytes, but for the few that a
// chat template adds to each message.
double highest_cost(const ChatRequest& request, const LlmOptions& options);

// Calls and money are reserved before a call is sent, so that calls in flight cannot overspend
// together. Not thread-safe.
class Budget {
 public:
  // What `ledger` says is spent, by earlier processes and by other clients too; it must outlive the
  // budget.
  Budget(const LlmOptions& options, const Ledger& ledger);

  // nullopt: the next call may be sent, and `cost` is reserved. Else which limit it does not fit
  // in, for people; nothing is reserved.
  std::optional<std::string> reserve(double cost);
  void release(double reserved) { reserved_ -= reserved; }  // its call is in the ledger now
  double spent() const { return ledger_.totals().cost; }

 private:
  double max_spend_;   // 0: none
  int64_t max_calls_;  // 0: none
  const Ledger& ledger_;
  double reserved_ = 0;
};

}  // namespace l2a
