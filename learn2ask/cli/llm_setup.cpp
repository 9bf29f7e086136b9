#include "cli/llm_setup.h"

#include <cstdio>
#include <exception>
#include <set>

#include "base/file.h"
#include "cli/command.h"
#include "cli/model_chat_client.h"
#include "llm/http_chat_client.h"
#include "llm/spending.h"

namespace l2a {

std::unique_ptr<ReplyCache> open_reply_cache(const LlmOptions& options) {
  return options.cache.empty() ? nullptr : std::make_unique<ReplyCache>(options.cache);
}

std::string prompt_path(const std::string& name, const std::string& folder_and_stem) {
  const bool is_path = name.find_first_of("./") != name.npos;
  return is_path ? name : data_path("prompts/" + folder_and_stem + "." + name + ".txt");
}

std::vector<ConfigField> deciding_fields(std::vector<ConfigField> fields) {
  static const std::set<std::string> kOnlyWatch = {"reward.agreement",      "reward.min_agreement",
                                                   "reward.looks_on",       "reward.look_every",
                                                   "grpo.max_failure_rate", "dpo.max_failure_rate"};
  std::erase_if(fields, [](const ConfigField& field) {
    if (kOnlyWatch.contains(field.key)) return true;
    return field.key.starts_with("llm.") && field.key != "llm.model" &&
           field.key != "llm.in_process" && field.key != "llm.response_format" &&
           field.key != "llm.send_temperature";
  });
  return fields;
}

LlmSetup::LlmSetup(const LlmOptions& options, std::vector<std::string> models,
                   const std::string& sent, const std::filesystem::path& ledger, Calls calls,
                   std::shared_ptr<Ledger> shared)
    : shares_ledger_(shared != nullptr), ledger_(std::move(shared)) {
  const bool in_process = !options.in_process.empty();
  if (in_process && !models.empty()) {
    fail_input("grading.models: not with llm.in_process, which is one model");
  }
  if (in_process && options.max_calls > 0) {
    fail_input("llm.max_calls: not with llm.in_process, whose calls cost nothing but time");
  }
  if (std::set(models.begin(), models.end()).size() < models.size()) {
    fail_input("grading.models: the same model twice would give one verdict twice");
  }
  if (models.empty()) models.push_back(options.model);
  if (calls == Calls::kCount) {
    if (std::filesystem::exists(options.cache)) cache_ = open_reply_cache(options);
    for (const std::string& model : models) {
      auto client =
          std::make_unique<CountingClient>(options_of_model(options, model), cache_.get());
      counting_.push_back(client.get());
      clients_.push_back(std::move(client));
    }
    return;
  }
  std::vector<std::unique_ptr<HttpTransfers>> transfers;
  for (size_t i = 0; !in_process && i < models.size(); ++i) {
    transfers.push_back(open_transfers(options, sent));
  }
  cache_ = open_reply_cache(options);
  if (!ledger_) {
    if (ledger.has_parent_path()) make_private_directory(ledger.parent_path());
    ledger_ = std::make_shared<Ledger>(ledger, cache_.get());
  }
  sent_before_ = ledger_->totals().sent;
  if (in_process) {
    clients_.push_back(std::make_unique<ModelChatClient>(options, cache_.get(), *ledger_));
    return;
  }
  for (size_t i = 0; i < models.size(); ++i) {
    clients_.push_back(std::make_unique<HttpChatClient>(
        options_of_model(options, models[i]), std::move(transfers[i]), cache_.get(), *ledger_));
  }
}

LlmSetup::~LlmSetup() {
  const bool failed = std::uncaught_exceptions() > 0;
  if (!failed || shares_ledger_ || !ledger_ || ledger_->totals().sent == sent_before_) return;
  std::fprintf(stderr, "%s\n", totals().c_str());
}

std::string LlmSetup::totals() const {
  return ledger_ ? to_text(ledger_->totals()) : to_text(estimate());
}

CallEstimate LlmSetup::estimate() const {
  CallEstimate all;
  for (const CountingClient* client : counting_) all += client->estimate();
  return all;
}

LedgerTotals LlmSetup::spent() const { return ledger_ ? ledger_->totals() : LedgerTotals(); }

std::vector<ChatClient*> LlmSetup::clients() const {
  std::vector<ChatClient*> clients;
  for (const auto& client : clients_) clients.push_back(client.get());
  return clients;
}

}  // namespace l2a
