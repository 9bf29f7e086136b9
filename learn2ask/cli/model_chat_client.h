// ChatClient in process: a model of our own engine answers. For judges and readers of logs where
// there is no endpoint; slow beside a server with a GPU.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "cli/answer_tokens.h"
#include "llm/chat.h"
#include "llm/ledger.h"
#include "llm/options.h"
#include "llm/reply_cache.h"
#include "model/transformer.h"
#include "tokenizer/chat_template.h"

namespace l2a {

// A call with a schema is answered by nothing else than what keeps to it (llm/answer_shape.h), or
// is cut; whoever asks checks the answer all the same. Not thread-safe.
class ModelChatClient final : public ChatClient {
 public:
  // The model of `options.in_process`. `cache` (may be null) and `ledger` must outlive it. Throws
  // Failure: what loading the model, its tokenizer and its template throws.
  ModelChatClient(LlmOptions options, ReplyCache* cache, Ledger& ledger);
  ~ModelChatClient() override;

  std::string name() const override;  // "FILE 1a2b3c4d in process", with the files' hash
  // An answer that would exceed the model's positions is an Error of its call, kInvalidInput.
  void submit(ChatRequest request, OnReply on_reply) override;
  void run() override;

 private:
  struct Call;
  Result<ChatReply> reply_to(const Call& call);
  Result<ChatReply> decode(const ChatRequest& request, const std::vector<int32_t>& context,
                           uint64_t key) const;

  LlmOptions options_;
  ReplyCache* cache_;
  Ledger& ledger_;
  std::string model_sha256_, name_;
  BpeTokenizer tokenizer_;
  ChatTemplate chat_;
  AnswerTokens tokens_;
  Transformer model_;
  std::vector<Call> queued_;

  ModelChatClient(LlmOptions options, ReplyCache* cache, Ledger& ledger, const Checkpoint& files);
};

}  // namespace l2a
