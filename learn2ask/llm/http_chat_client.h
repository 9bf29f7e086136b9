// ChatClient over HTTP: any OpenAI-compatible endpoint. Of each call, when and how often it is
// sent:
//
//   cached       an answer that came once is not asked for again (reply_cache.h)
//   held back    by concurrency, rates (rate_limit.h), money (spending.h), outages (outage.h)
//   retried      by class (retry.h), max_attempts times; then this call is an Error
//   recorded     an answer is in the cache and the ledger before anyone sees it
//   paused       run() throws: key or account refused, money spent, outage too long, Ctrl-C
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/rng.h"
#include "llm/chat.h"
#include "llm/http_transfers.h"
#include "llm/ledger.h"
#include "llm/outage.h"
#include "llm/rate_limit.h"
#include "llm/reply_cache.h"
#include "llm/spending.h"

namespace l2a {

class HttpChatClient final : public ChatClient {
 public:
  // `transfers`: of open_transfers(). `cache` and `ledger` must outlive it; a null cache keeps
  // nothing. Throws Failure: what Budget throws, no name of a model, and options that leave no way
  // to an answer.
  HttpChatClient(LlmOptions options, std::unique_ptr<HttpTransfers> transfers, ReplyCache* cache,
                 Ledger& ledger);
  ~HttpChatClient() override;

  std::string name() const override;  // "MODEL at URL"
  void submit(ChatRequest request, OnReply on_reply) override;
  void run() override;

 private:
  using Time = std::chrono::steady_clock::time_point;
  struct Call;
  struct Ended;
  using CallPtr = std::unique_ptr<Call>;

  void start_calls(Time now);
  bool answer_unsent(CallPtr& call);
  bool may_start(Call& call, Time now);  // and reserves its money
  void start(CallPtr call);
  void start_probe(Time now);
  void wait();

  Ended judge(EndedTransfer transfer);
  std::vector<Ended> collect();  // what ended, recorded
  void settle(Ended ended, Time now);
  void fail_or_retry(CallPtr call, bool busy, Error error, Time now);
  void deliver(CallPtr call, Result<ChatReply> reply);
  void finish_in_flight();
  [[noreturn]] void pause(const std::string& why) const;

  LlmOptions options_;
  std::string url_;
  std::unique_ptr<HttpTransfers> transfers_;  // null in replay: nothing is ever sent
  ReplyCache* cache_;
  Ledger& ledger_;
  Budget budget_;
  Outage outage_;
  RateLimit requests_, tokens_;
  Rng jitter_;

  std::deque<CallPtr> ready_;
  std::multimap<Time, CallPtr> delayed_;
  std::unordered_map<uint64_t, CallPtr> in_flight_;  // by the transfer's id; null: a probe
  // Calls that wait for the answer to an equal one, by key; an entry for each one that was sent.
  std::unordered_map<std::string, std::vector<CallPtr>> followers_;
  uint64_t last_id_ = 0;
  Time start_again_{};  // when start_calls() can do more, should nothing end before
  std::string last_failure_;
};

}  // namespace l2a
