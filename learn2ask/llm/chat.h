// What a chat model is asked and what it answers. Everything that answers implements ChatClient: an
// HTTP endpoint, a model in process, a script in tests.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/json.h"

namespace l2a {

struct ChatMessage {
  std::string role;  // "system", "user", "assistant"
  std::string content;
};

struct ChatRequest {
  std::vector<ChatMessage> messages;
  double temperature = 0;
  int64_t max_tokens = 1024;  // of the answer; a longer one is cut
  // JSON schema of the answer; null: free text. A client that cannot hold the model to it leaves
  // it out: whoever asks checks the answer.
  Json schema = {};
  // Which of several independent answers to the same messages; answers differ where temperature
  // is above 0.
  uint64_t sample = 0;
};

struct TokenUsage {
  int64_t prompt = 0;
  int64_t completion = 0;
};

struct ChatReply {
  std::string text;                      // as it came: not checked, not trusted
  bool truncated = false;                // cut at max_tokens
  std::optional<TokenUsage> usage = {};  // nullopt: the endpoint does not say
};

// Asks many things at once. Not thread-safe.
class ChatClient {
 public:
  using OnReply = std::function<void(Result<ChatReply>)>;
  virtual ~ChatClient() = default;
  virtual std::string name() const = 0;  // stands beside everything that it answered

  // Queues a call; nothing is sent before run().
  virtual void submit(ChatRequest request, OnReply on_reply) = 0;

  // Answers all that is queued, also what `on_reply` submits; each is called once, on this thread,
  // in the order in which answers come. An Error is of this call alone; others go on.
  //
  // Throws Failure (kUnavailable) when the whole run has to stop: what was in flight has been
  // waited for and recorded, what is still queued is dropped without an answer, and the message
  // says what to do. A client that has thrown is not used again; another one goes on from there.
  virtual void run() = 0;
};

}  // namespace l2a
