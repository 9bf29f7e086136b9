// Where calls go, and whether that is inside the house.
#pragma once

#include <string>

#include "llm/options.h"

struct sockaddr;

namespace l2a {

enum class Reach {
  kLoopback,  // this machine
  kPrivate,   // RFC 1918, RFC 4193 and link-local addresses
  kExternal,  // everything else
};
// Of an IPv4 or IPv6 address; any other kind is external.
Reach reach_of(const sockaddr& address);

struct Endpoint {
  std::string url;       // of the API, as given, without a slash at its end
  std::string chat_url;  // of its chat completions
  std::string scheme, host, port;
};

// Reads `options.url`. Throws Failure for one that is no http(s) URL, or that has parts which an
// API's has not: a name or a password, a query, a fragment.
Endpoint read_endpoint(const LlmOptions& options);

// Looks the host up. Throws Failure for a host that nobody knows (kUnavailable), for an external
// one that `allow_external` does not allow (the message says that `sent` would go there), and for
// an external one that the key would go to unencrypted.
void refuse_outside(const Endpoint& endpoint, const LlmOptions& options, bool has_key,
                    const std::string& sent);

}  // namespace l2a
