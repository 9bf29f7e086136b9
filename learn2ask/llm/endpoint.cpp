#include "llm/endpoint.h"

#include <cstring>
#include <memory>

#include <arpa/inet.h>
#include <curl/curl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>

namespace l2a {
namespace {

Reach reach_of_v4(uint32_t address) {  // host byte order
  const auto in = [&](uint32_t network, int bits) {
    return (address ^ network) >> (32 - bits) == 0;
  };
  if (in(0x7f000000, 8)) return Reach::kLoopback;
  const bool is_private = in(0x0a000000, 8) || in(0xac100000, 12) || in(0xc0a80000, 16) ||
                          in(0xa9fe0000, 16);  // the last one: link-local
  return is_private ? Reach::kPrivate : Reach::kExternal;
}

Reach reach_of_v6(const in6_addr& address) {
  if (IN6_IS_ADDR_LOOPBACK(&address)) return Reach::kLoopback;
  if (IN6_IS_ADDR_V4MAPPED(&address)) {
    uint32_t v4 = 0;
    std::memcpy(&v4, address.s6_addr + 12, sizeof v4);
    return reach_of_v4(ntohl(v4));
  }
  const bool unique_local = (address.s6_addr[0] & 0xfe) == 0xfc;
  return unique_local || IN6_IS_ADDR_LINKLOCAL(&address) ? Reach::kPrivate : Reach::kExternal;
}

class Url {
 public:
  explicit Url(const std::string& text) : handle_(curl_url()) {
    check(handle_ != nullptr, "curl_url");
    if (curl_url_set(handle_.get(), CURLUPART_URL, text.c_str(), 0) != CURLUE_OK) {
      // Without the text: a password may stand in it.
      fail_input("llm.url: no URL: expected one such as http://localhost:8000/v1");
    }
  }
  // Empty where the URL has no such part.
  std::string part(CURLUPart which, unsigned flags = 0) const {
    char* text = nullptr;
    if (curl_url_get(handle_.get(), which, &text, flags) != CURLUE_OK) return {};
    const std::unique_ptr<char, void (*)(void*)> owned(text, curl_free);
    return text;
  }

 private:
  struct Free {
    void operator()(CURLU* handle) const { curl_url_cleanup(handle); }
  };
  std::unique_ptr<CURLU, Free> handle_;
};

struct FreeAddresses {
  void operator()(addrinfo* list) const { ::freeaddrinfo(list); }
};

// The first of the host's addresses that is external, as text; empty when none is.
std::string external_address(const Endpoint& endpoint) {
  std::string host = endpoint.host;
  if (host.size() > 2 && host.front() == '[') host = host.substr(1, host.size() - 2);
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (const int code = ::getaddrinfo(host.c_str(), endpoint.port.c_str(), &hints, &found);
      code != 0) {
    fail(ErrorCode::kUnavailable, "llm.url: '" + host + "': " + ::gai_strerror(code));
  }
  const std::unique_ptr<addrinfo, FreeAddresses> owned(found);
  for (const addrinfo* at = found; at != nullptr; at = at->ai_next) {
    if (reach_of(*at->ai_addr) != Reach::kExternal) continue;
    char text[NI_MAXHOST] = "an unknown kind of address";
    ::getnameinfo(at->ai_addr, at->ai_addrlen, text, sizeof text, nullptr, 0, NI_NUMERICHOST);
    return text;
  }
  return {};
}

}  // namespace

Reach reach_of(const sockaddr& address) {
  if (address.sa_family == AF_INET) {
    sockaddr_in v4{};
    std::memcpy(&v4, &address, sizeof v4);
    return reach_of_v4(ntohl(v4.sin_addr.s_addr));
  }
  if (address.sa_family == AF_INET6) {
    sockaddr_in6 v6{};
    std::memcpy(&v6, &address, sizeof v6);
    return reach_of_v6(v6.sin6_addr);
  }
  return Reach::kExternal;
}

Endpoint read_endpoint(const LlmOptions& options) {
  const Url url(options.url);
  Endpoint endpoint{.url = options.url,
                    .chat_url = {},
                    .scheme = url.part(CURLUPART_SCHEME),
                    .host = url.part(CURLUPART_HOST),
                    .port = url.part(CURLUPART_PORT, CURLU_DEFAULT_PORT)};
  if (endpoint.scheme != "http" && endpoint.scheme != "https") {
    fail_input("llm.url: '" + endpoint.scheme + "': expected http or https");
  }
  if (!url.part(CURLUPART_USER).empty() || !url.part(CURLUPART_PASSWORD).empty()) {
    fail_input("llm.url: a name or password in it would be shown: give a key by llm.key_env");
  }
  if (options.url.find_first_of("?#") != options.url.npos) {
    fail_input("llm.url: expected no '?' and no '#' in it");
  }
  while (endpoint.url.ends_with('/')) endpoint.url.pop_back();
  endpoint.chat_url = endpoint.url + "/chat/completions";
  return endpoint;
}

void refuse_outside(const Endpoint& endpoint, const LlmOptions& options, bool has_key,
                    const std::string& sent) {
  const std::string outside = external_address(endpoint);
  if (outside.empty()) return;
  if (!options.allow_external) {
    fail_input("llm.url: " + endpoint.url + ": " + endpoint.host + " is " + outside +
               ", outside this machine and its private network, and would be sent " + sent +
               ": set llm.allow_external to true if that may leave the house");
  }
  if (has_key && endpoint.scheme != "https") {
    fail_input("llm.url: " + endpoint.url + ": would be sent the API key unencrypted: use https");
  }
}

}  // namespace l2a
