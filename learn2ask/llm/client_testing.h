// What the tests of HttpChatClient share: numbered questions, an endpoint that echoes them, and
// what came of each.
#pragma once

#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "base/testing.h"
#include "llm/http_chat_client.h"
#include "llm/testing.h"

namespace l2a {

inline constexpr const char* kSent = "the questions of a test";

inline LlmOptions options_for(const std::string& url) {
  LlmOptions options;
  options.url = url;
  options.model = "judge";
  options.key_env = "";
  options.concurrency = 8;
  options.timeout_s = 5;
  options.first_wait_s = 0.002;
  options.longest_wait_s = 0.02;
  options.max_outage_s = 30;
  return options;
}

inline ChatRequest question(const std::string& text) { return {.messages = {{"user", text}}}; }

inline std::string numbered(size_t i) { return "question " + std::to_string(i); }

// What came of calls, and how often each was answered.
struct Answers {
  explicit Answers(size_t count) : times(count, 0) { replies.resize(count, Error{}); }
  std::vector<Result<ChatReply>> replies;
  std::vector<int> times;

  ChatClient::OnReply put(size_t i) {
    return [this, i](Result<ChatReply> reply) {
      replies[i] = std::move(reply);
      ++times[i];
    };
  }
};

inline void submit_numbered(ChatClient& client, Answers& answers) {
  for (size_t i = 0; i < answers.replies.size(); ++i) {
    client.submit(question(numbered(i)), answers.put(i));
  }
}

// Each answered once, with its own answer.
inline void expect_echoes(const Answers& answers) {
  for (size_t i = 0; i < answers.replies.size(); ++i) {
    EXPECT_EQ(answers.times[i], 1) << i;
    ASSERT_TRUE(answers.replies[i]) << i << ": " << answers.replies[i].error().message;
    EXPECT_EQ(answers.replies[i]->text, "echo of " + numbered(i));
  }
}

inline ScriptedAnswer echo(const ReceivedCall& call) {
  return says("echo of " + call.last_message());
}
inline bool is_probe(const ReceivedCall& call) { return call.last_message() == "ping"; }

// The message with which run() pauses; empty when it does not.
inline std::string pause_of(ChatClient& client) {
  try {
    client.run();
  } catch (const Failure& failure) {
    EXPECT_EQ(failure.error.code, ErrorCode::kUnavailable);
    return failure.what();
  }
  return "";
}

class Client : public testing::Test {
 protected:
  std::filesystem::path file(const std::string& name) const { return folder_ / name; }
  HttpChatClient make(const LlmOptions& options) {
    return HttpChatClient(options, open_transfers(options, kSent), &cache_, ledger_);
  }

  TempDir folder_;
  ReplyCache cache_{file("cache.sqlite")};
  Ledger ledger_{file("ledger.jsonl")};
};

}  // namespace l2a
