// ChatClient in process: a model of our own engine answers. For judges and readers of logs where
// there is no endpoint; slow beside a server with a GPU.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "llm/chat.h"
#include "llm/ledger.h"
#include "llm/options.h"
#include "llm/reply_cache.h"
#include "model/transformer.h"
#include "tokenizer/chat_template.h"

namespace l2a {

// The model cannot be held to a schema: whoever asks checks the answer, as always. Not thread-safe.
class ModelChatClient final : public ChatClient {
 public:
  // The model of `options.in_process`. `cache` (may be null) and `ledger` must outlive it. Throws
  // Failure: what loading the model, its tokenizer and its template throws.
  ModelChatClient(LlmOptions options, ReplyCache* cache, Ledger& ledger);
  ~ModelChatClient() override;

  std::string name() const override;  // "FILE in process"
  // An answer that would exceed the model's positions is an Error of its call, kInvalidInput.
  void submit(ChatRequest request, OnReply on_reply) override;
  void run() override;

 private:
  struct Call;
  Result<ChatReply> reply_to(const Call& call);

  LlmOptions options_;
  ReplyCache* cache_;
  Ledger& ledger_;
  std::string model_sha256_, name_;
  BpeTokenizer tokenizer_;
  ChatTemplate chat_;
  Transformer model_;
  std::vector<Call> queued_;

  ModelChatClient(LlmOptions options, ReplyCache* cache, Ledger& ledger, const Checkpoint& files);
};

}  // namespace l2a
