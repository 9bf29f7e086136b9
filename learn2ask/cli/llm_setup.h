// From the settings `llm` to a client that can be asked.
#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "llm/chat.h"
#include "llm/http_transfers.h"
#include "llm/ledger.h"
#include "llm/options.h"
#include "llm/reply_cache.h"

namespace l2a {

// The cache that `options` name; null where they name none.
std::unique_ptr<ReplyCache> open_reply_cache(const LlmOptions& options);

// Owns a client, and what it needs.
class LlmSetup {
 public:
  // `sent`: what calls will carry, for the refusal of an endpoint outside the house. Throws
  // Failure: what the client, its cache and its ledger throw.
  LlmSetup(const LlmOptions& options, const std::string& sent, const std::filesystem::path& ledger);

  ChatClient& client() { return *client_; }
  std::string totals() const { return to_text(ledger_.totals()); }  // of all runs of the ledger

 private:
  std::unique_ptr<HttpTransfers> transfers_;  // first: it is refused before anything is written
  std::unique_ptr<ReplyCache> cache_;
  Ledger ledger_;
  std::unique_ptr<ChatClient> client_;
};

}  // namespace l2a
