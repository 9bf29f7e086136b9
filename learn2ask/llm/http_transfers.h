// Many HTTP POSTs at once, over pooled connections. The only file of the module that knows
// libcurl's multi interface, and the only one that holds the API key.
//
// Redirects are never followed. Without llm.allow_external no proxy is used, and the address of
// every connection is looked at again when it is opened.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "llm/api_key.h"
#include "llm/endpoint.h"

namespace l2a {

struct EndpointResponse {
  int status = 0;
  std::string body;          // at most llm.max_reply_bytes
  double retry_after_s = 0;  // of the header; 0: not given
};

struct EndedTransfer {
  uint64_t id = 0;
  // kUnavailable: no connection, or it broke; kTimeout; kInvalidInput: a body that is too long;
  // kUnsupported: an endpoint whose certificate or address will not do, now or later.
  Result<EndpointResponse> response;
  bool sent = false;   // the request, or some of it, went out: it may have been carried out
  double seconds = 0;  // since start()
};

// Not thread-safe.
class HttpTransfers {
 public:
  HttpTransfers(const Endpoint& endpoint, const LlmOptions& options, std::optional<ApiKey> key);
  ~HttpTransfers();  // breaks off what is in flight
  HttpTransfers(const HttpTransfers&) = delete;
  HttpTransfers& operator=(const HttpTransfers&) = delete;

  // Begins a POST of a JSON body to the endpoint's chat completions. `retries`: how often this one
  // was sent before; the endpoint is told, as OpenAI's own clients do.
  void start(uint64_t id, std::string body, int64_t retries);
  // Goes on with all; those that have ended since the last call.
  std::vector<EndedTransfer> proceed();
  // Texts of answers as they may be shown and stored: without the key.
  std::string without_key(std::string text) const;
  // Until something happens, or so long, or a signal.
  void wait(std::chrono::milliseconds at_most);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// Ready to send. Null with `options.replay`: nothing is to be sent. `sent`: what calls will carry,
// for the refusal of an endpoint outside the house. Throws Failure: what find_key(),
// read_endpoint() and refuse_outside() throw.
std::unique_ptr<HttpTransfers> open_transfers(const LlmOptions& options, const std::string& sent);

}  // namespace l2a
