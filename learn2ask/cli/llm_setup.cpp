#include "cli/llm_setup.h"

#include "base/file.h"
#include "llm/http_chat_client.h"

namespace l2a {

std::unique_ptr<ReplyCache> open_reply_cache(const LlmOptions& options) {
  return options.cache.empty() ? nullptr : std::make_unique<ReplyCache>(options.cache);
}

namespace {

const std::filesystem::path& in_made_folder(const std::filesystem::path& file) {
  if (file.has_parent_path()) make_private_directory(file.parent_path());
  return file;
}

}  // namespace

LlmSetup::LlmSetup(const LlmOptions& options, const std::string& sent,
                   const std::filesystem::path& ledger)
    : transfers_(open_transfers(options, sent)),
      cache_(open_reply_cache(options)),
      ledger_(in_made_folder(ledger)),
      client_(std::make_unique<HttpChatClient>(options, std::move(transfers_), cache_.get(),
                                               ledger_)) {}

}  // namespace l2a
