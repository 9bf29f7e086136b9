// What calls cost, and what may still be spent.
#pragma once

#include <cstdint>
#include <string>

#include "llm/chat.h"
#include "llm/ledger.h"
#include "llm/options.h"

namespace l2a {

// Tokens of the messages and the schema, about: four bytes each, as in English.
int64_t estimated_prompt_tokens(const ChatRequest& request);

// `options` for calls of `model`, at its prices. Throws Failure for a price that is not of the form
// MODEL=PROMPT/COMPLETION, or that a model has twice.
LlmOptions options_of_model(LlmOptions options, const std::string& model);

double cost_of(const TokenUsage& usage, const LlmOptions& options);

// No call costs more: no tokenizer makes more tokens than a text has bytes, but for the few that a
// chat template adds to each message.
double highest_cost(const ChatRequest& request, const LlmOptions& options);

// Money is reserved before a call is sent, so that calls in flight cannot overspend together. Not
// thread-safe.
class Budget {
 public:
  // What `ledger` says is spent, by earlier processes and by other clients too; it must outlive the
  // budget. Throws Failure for a limit without prices.
  Budget(const LlmOptions& options, const Ledger& ledger);

  bool reserve(double cost);  // false: it does not fit; nothing is reserved
  void release(double reserved) { reserved_ -= reserved; }  // its call is in the ledger now
  double spent() const { return ledger_.totals().cost; }

 private:
  double limit_;  // 0: none
  const Ledger& ledger_;
  double reserved_ = 0;
};

}  // namespace l2a
