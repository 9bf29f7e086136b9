#include "llm/http_chat_client.h"

#include <algorithm>

#include <fmt/format.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/interrupt.h"
#include "llm/wire.h"

namespace l2a {
namespace {

using Seconds = std::chrono::duration<double>;

constexpr std::chrono::milliseconds kLongestWait{500};  // so that Ctrl-C is seen
// A busy endpoint is no fault of the call: it gets so many times the tries. Not without end: what
// is too large for the account's rate is told "slow down", too.
constexpr int64_t kBusyPatience = 4;

// What any endpoint answers at once, and nearly for nothing.
ChatRequest probe_request() { return {.messages = {{"user", "ping"}}, .max_tokens = 1}; }

const char* outcome_name(FailureClass failure) {
  switch (failure) {
    case FailureClass::kBusy:
      return "busy";
    case FailureClass::kRetry:
      return "retry";
    case FailureClass::kRefuse:
      return "refused";
    case FailureClass::kPause:
      return "pause";
  }
  return "?";
}

FailureClass class_of(ErrorCode code) {
  if (code == ErrorCode::kInvalidInput) return FailureClass::kRefuse;
  return code == ErrorCode::kUnsupported ? FailureClass::kPause : FailureClass::kRetry;
}

std::string remedy_for(const std::optional<int>& status, bool quota) {
  if (quota || status == 402) return "fill the account up";
  if (status == 401 || status == 403) {
    return "put a key that it accepts into llm.key_env or llm.key_file";
  }
  return "see to the endpoint";
}

}  // namespace

struct HttpChatClient::Call {
  ChatRequest request;
  OnReply on_reply;
  std::string body, key;
  bool leads = false;                 // equal calls wait for it
  int64_t sent = 0;                   // tries
  int64_t failed = 0, was_busy = 0;   // tries that count against it
  std::optional<uint64_t> failed_at;  // the endpoint's signs of life at its last failure
  double reserved = 0;                // while it is in flight
};

struct HttpChatClient::Ended {
  CallPtr call;  // null: a probe
  Result<ChatReply> reply;
  FailureClass failure = FailureClass::kRetry;  // where there is no reply
  std::optional<int> status = {};
  bool quota = false;  // is used up, it says
  double retry_after_s = 0;
  bool may_have_cost = false;  // though there is no reply
  double seconds = 0;
};

HttpChatClient::HttpChatClient(LlmOptions options, std::unique_ptr<HttpTransfers> transfers,
                               ReplyCache* cache, Ledger& ledger)
    : options_(std::move(options)),
      url_(read_endpoint(options_).url),
      transfers_(std::move(transfers)),
      cache_(cache),
      ledger_(ledger),
      budget_(options_, ledger),
      outage_(options_),
      requests_(static_cast<double>(options_.requests_per_minute), Clock::system().now()),
      tokens_(static_cast<double>(options_.tokens_per_minute), Clock::system().now()),
      jitter_(static_cast<uint64_t>(::getpid())) {
  if (options_.model.empty()) fail_input("llm.model: missing: the model's name at " + url_);
  if (!transfers_ && cache_ == nullptr) fail_input("llm.replay: needs llm.cache");
}

HttpChatClient::~HttpChatClient() = default;

std::string HttpChatClient::name() const { return options_.model + " at " + url_; }

void HttpChatClient::submit(ChatRequest request, OnReply on_reply) {
  auto call = std::make_unique<Call>();
  call->body = request_body(request, options_);
  call->key = call_key(url_, call->body, request.sample);
  call->request = std::move(request);
  call->on_reply = std::move(on_reply);
  ready_.push_back(std::move(call));
}

void HttpChatClient::run() {
  outage_.on_start(Clock::system().now());
  try {
    const auto done = [&] { return ready_.empty() && delayed_.empty() && in_flight_.empty(); };
    while (!done()) {
      throw_if_interrupted();
      start_calls(Clock::system().now());
      auto all = collect();
      if (all.empty() && !done()) wait();
      for (Ended& ended : all) settle(std::move(ended), Clock::system().now());
    }
  } catch (...) {
    ready_.clear();
    delayed_.clear();
    followers_.clear();
    finish_in_flight();
    throw;
  }
}

void HttpChatClient::finish_in_flight() {
  try {
    start_again_ = Time::max();
    while (!in_flight_.empty()) {
      collect();
      wait();
    }
  } catch (const Failure&) {
    // What stopped the run is the better message; the ledger shows these calls as lost.
    in_flight_.clear();
  }
}

void HttpChatClient::pause(const std::string& why) const {
  fail(ErrorCode::kUnavailable,
       "llm: " + url_ + ": " + why + ", then run the same command again: what came is kept");
}

void HttpChatClient::start_calls(Time now) {
  for (auto at = delayed_.begin(); at != delayed_.end() && at->first <= now;) {
    ready_.push_back(std::move(at->second));
    at = delayed_.erase(at);
  }
  start_again_ = delayed_.empty() ? Time::max() : delayed_.begin()->first;
  if (outage_.too_long(now)) {
    pause(fmt::format("no answer for {} (the last one: {}): see to the endpoint",
                      format_duration(Seconds(options_.max_outage_s)), last_failure_));
  }
  if (outage_.open()) return start_probe(now);
  while (!ready_.empty() && in_flight_.size() < static_cast<size_t>(options_.concurrency)) {
    CallPtr call = std::move(ready_.front());
    ready_.pop_front();
    if (answer_unsent(call)) continue;
    if (!may_start(*call, now)) {
      ready_.push_front(std::move(call));
      return;
    }
    start(std::move(call));
  }
}

// From the cache, or later by the answer to an equal call.
bool HttpChatClient::answer_unsent(CallPtr& call) {
  if (call->leads) return false;
  if (cache_ != nullptr) {
    if (auto reply = cache_->find(call->key)) {
      ledger_.cached();
      call->on_reply(std::move(*reply));
      return true;
    }
  }
  if (!transfers_) {
    call->on_reply(Error{ErrorCode::kNotFound, "no answer to this call was recorded (llm.replay)"});
    return true;
  }
  if (const auto leader = followers_.find(call->key); leader != followers_.end()) {
    leader->second.push_back(std::move(call));
    return true;
  }
  return false;
}

bool HttpChatClient::may_start(Call& call, Time now) {
  const Time at = std::max({outage_.held_until(), requests_.ready_at(now), tokens_.ready_at(now)});
  if (at > now) {
    start_again_ = std::min(start_again_, at);
    return false;
  }
  call.reserved = highest_cost(call.request, options_);
  const auto limit = budget_.reserve(call.reserved);
  if (!limit) return true;
  if (in_flight_.empty()) pause(*limit + ": allow more");
  return false;  // until calls in flight have cost less than was reserved for them
}

void HttpChatClient::start(CallPtr call) {
  call->leads = true;
  followers_.try_emplace(call->key);
  requests_.take(1);
  tokens_.take(
      static_cast<double>(estimated_prompt_tokens(call->request) + call->request.max_tokens));
  ++call->sent;
  ledger_.sent(call->key, call->sent, call->reserved);
  transfers_->start(++last_id_, call->body, call->sent - 1);
  in_flight_.emplace(last_id_, std::move(call));
}

void HttpChatClient::start_probe(Time now) {
  if (!in_flight_.empty()) return;
  if (now < outage_.held_until()) {
    start_again_ = std::min(start_again_, outage_.held_until());
    return;
  }
  transfers_->start(++last_id_, request_body(probe_request(), options_), 0);
  in_flight_.emplace(last_id_, nullptr);
}

void HttpChatClient::wait() {
  if (!transfers_) return;
  const auto until = std::max(Time::duration::zero(), start_again_ - Clock::system().now());
  transfers_->wait(std::min(kLongestWait, std::chrono::ceil<std::chrono::milliseconds>(until)));
}

HttpChatClient::Ended HttpChatClient::judge(EndedTransfer transfer) {
  const auto flight = in_flight_.extract(transfer.id);
  Ended ended{
      .call = std::move(flight.mapped()), .reply = ChatReply{}, .seconds = transfer.seconds};
  if (!transfer.response) {
    ended.failure = class_of(transfer.response.error().code);
    ended.reply = transfer.response.error();
    ended.may_have_cost = transfer.sent;
    return ended;
  }
  const EndpointResponse& response = *transfer.response;
  ended.status = response.status;
  ended.retry_after_s = response.retry_after_s;
  if (response.status == 200) {
    ended.reply = read_reply(response.body);
    if (ended.reply) {
      ended.reply->text = transfers_->without_key(std::move(ended.reply->text));
      return ended;
    }
    ended.may_have_cost = true;
  }
  // Before it is cut short: what is left of a key is a key, too.
  const std::string body = transfers_->without_key(response.body);
  std::string why = error_text(body);
  ended.quota = names_quota(all_error_texts(body), options_.quota_phrases);
  ended.failure = classify(response.status, ended.quota);
  if (response.status == 200) {
    const auto again = read_reply(body);
    if (!again) why = again.error().message;
  }
  const bool refused = ended.failure == FailureClass::kRefuse;
  if (refused) why += setting_to_change(why, options_);
  ended.reply =
      Error{refused ? ErrorCode::kInvalidInput : ErrorCode::kUnavailable,
            fmt::format("{}: {}", response.status, transfers_->without_key(std::move(why)))};
  return ended;
}

std::vector<HttpChatClient::Ended> HttpChatClient::collect() {
  std::vector<Ended> all;
  if (!transfers_) return all;
  for (EndedTransfer& transfer : transfers_->proceed()) all.push_back(judge(std::move(transfer)));

  std::vector<KeptReply> kept;
  for (const Ended& ended : all) {
    if (ended.call && ended.reply) kept.push_back({ended.call->key, *ended.reply});
  }
  if (cache_ != nullptr) cache_->put(kept);
  auto stored = kept.begin();
  for (Ended& ended : all) {
    if (!ended.call) continue;
    const double reserved = ended.call->reserved;
    CallEnd end{.outcome = outcome_name(ended.failure),
                .status = ended.status,
                .seconds = ended.seconds,
                .cost = ended.may_have_cost ? reserved : 0};
    if (ended.reply) {
      end.outcome = "reply";
      end.usage = ended.reply->usage;
      end.cost = end.usage ? cost_of(*end.usage, options_) : reserved;
      ended.reply = std::move((stored++)->reply);
    } else if (!ended.status && ended.may_have_cost) {
      end.outcome = "lost";
    }
    ledger_.done(ended.call->key, ended.call->sent, end);
    budget_.release(reserved);
  }
  return all;
}

void HttpChatClient::settle(Ended ended, Time now) {
  if (ended.reply || ended.failure == FailureClass::kRefuse) {
    outage_.on_sign_of_life();
    if (ended.call) deliver(std::move(ended.call), std::move(ended.reply));
    return;
  }
  last_failure_ = ended.reply.error().message;
  if (ended.failure == FailureClass::kPause) {
    pause(last_failure_ + ": " + remedy_for(ended.status, ended.quota));
  }
  const Seconds asked_to_wait(ended.retry_after_s);
  if (asked_to_wait.count() > options_.max_outage_s) {
    pause(fmt::format("asks to wait for {} ({}): wait", format_duration(asked_to_wait),
                      last_failure_));
  }
  const bool busy = ended.failure == FailureClass::kBusy;
  if (busy) {
    outage_.on_busy(now, in_flight_.empty(), asked_to_wait, jitter_);
  } else {
    outage_.on_failure(now, in_flight_.empty(), jitter_);
    outage_.hold(now, asked_to_wait);
  }
  if (ended.call) fail_or_retry(std::move(ended.call), busy, ended.reply.error(), now);
}

// A try counts only where the endpoint was there since the one before it.
void HttpChatClient::fail_or_retry(CallPtr call, bool busy, Error error, Time now) {
  if (call->failed_at != outage_.signs_of_life()) {
    ++(busy ? call->was_busy : call->failed);
    call->failed_at = outage_.signs_of_life();
  }
  const bool given_up = call->failed >= options_.max_attempts ||
                        call->was_busy >= kBusyPatience * options_.max_attempts;
  if (given_up) {
    error.message += fmt::format(" ({} tries)", call->sent);
    return deliver(std::move(call), std::move(error));
  }
  const auto wait = backoff(options_, std::max<int64_t>(1, call->failed + call->was_busy), jitter_);
  delayed_.emplace(now + std::chrono::ceil<Time::duration>(wait), std::move(call));
}

void HttpChatClient::deliver(CallPtr call, Result<ChatReply> reply) {
  const auto followers = followers_.extract(call->key);
  for (const CallPtr& follower : followers.mapped()) {
    if (reply) ledger_.cached();
    follower->on_reply(reply);
  }
  call->on_reply(std::move(reply));
}

}  // namespace l2a
