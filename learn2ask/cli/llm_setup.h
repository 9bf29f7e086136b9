// From the settings `llm` to clients that can be asked.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "base/config.h"
#include "llm/chat.h"
#include "llm/counting_client.h"
#include "llm/ledger.h"
#include "llm/options.h"
#include "llm/reply_cache.h"

namespace l2a {

// The cache that `options` name; null where they name none.
std::unique_ptr<ReplyCache> open_reply_cache(const LlmOptions& options);

// The prompt `name`: a file, or prompts/FOLDER/STEM.NAME.txt, which ships. Throws Failure.
std::string prompt_path(const std::string& name, const std::string& folder_and_stem);

// Less those that decide nothing: who watches the grader that rewards, and those of `llm` that say
// how an endpoint is asked and not what it answers: a run that paused may go on with another key,
// more money or fewer calls in flight. So it may with the same model elsewhere, whose answers are
// asked for anew.
std::vector<ConfigField> deciding_fields(std::vector<ConfigField> fields);

// Whether calls are made, or only counted: a count makes no file and sends nothing.
enum class Calls { kMake, kCount };
constexpr const char* kNoCalls = "0 calls: nothing is sent to an endpoint";

// Owns clients, one a model, and what they share.
class LlmSetup {
 public:
  // `models`: at the endpoint; none: `options.model`. `sent`: what calls will carry, for the
  // refusal of an endpoint outside the house. Throws Failure: what the client, its cache and its
  // ledger throw; nothing is written when the endpoint or the key is refused. `shared`: the ledger
  // of another setup, in place of one at `ledger`.
  LlmSetup(const LlmOptions& options, std::vector<std::string> models, const std::string& sent,
           const std::filesystem::path& ledger, Calls calls = Calls::kMake,
           std::shared_ptr<Ledger> shared = nullptr);
  // Where a command ends by a Failure after it made calls, says what all of them came to.
  ~LlmSetup();
  LlmSetup(const LlmSetup&) = delete;
  LlmSetup& operator=(const LlmSetup&) = delete;

  std::vector<ChatClient*> clients() const;
  std::string totals() const;     // of all runs of the ledger; of the calls that were counted
  LedgerTotals spent() const;     // of all runs of the ledger; nothing where calls are only counted
  CallEstimate estimate() const;  // of the calls that were counted
  // For another setup that shares what may be spent; null where calls are only counted.
  std::shared_ptr<Ledger> ledger() const { return ledger_; }

 private:
  const bool shares_ledger_;
  int64_t sent_before_ = 0;  // by earlier runs
  std::unique_ptr<ReplyCache> cache_;
  std::shared_ptr<Ledger> ledger_;
  std::vector<std::unique_ptr<ChatClient>> clients_;
  std::vector<const CountingClient*> counting_;  // of `clients_`
};

}  // namespace l2a
