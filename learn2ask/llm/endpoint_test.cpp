#include "llm/endpoint.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netdb.h>
#include <sys/socket.h>

#include "base/testing.h"

namespace l2a {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

Reach reach_of_text(const std::string& address) {
  addrinfo hints{};
  hints.ai_flags = AI_NUMERICHOST;
  addrinfo* found = nullptr;
  check(::getaddrinfo(address.c_str(), nullptr, &hints, &found) == 0, "no numeric address");
  const Reach answer = reach_of(*found->ai_addr);
  ::freeaddrinfo(found);
  return answer;
}

LlmOptions with_url(const std::string& url, bool allow_external = false) {
  LlmOptions options;
  options.url = url;
  options.allow_external = allow_external;
  return options;
}

std::string refusal_of(const std::string& url) {
  return failure_of([&] { read_endpoint(with_url(url)); });
}

void look(const LlmOptions& options, bool has_key = false) {
  refuse_outside(read_endpoint(options), options, has_key, "the texts of sessions");
}

// Source: RFC 1122 (127/8), 1918, 3927 (169.254/16), 4193 (fc00::/7), 4291 (::1, fe80::/10,
// ::ffff:0:0/96). RFC 6598's 100.64/10 is a carrier's, not the house's.
TEST(ReachOf, KnowsEachRangeToItsEdges) {
  const struct {
    Reach reach;
    std::vector<std::string> addresses;
  } table[] = {
      {Reach::kLoopback,
       {"127.0.0.0", "127.0.0.1", "127.255.255.255", "::1", "::ffff:127.0.0.1",
        "::ffff:127.255.255.255"}},
      {Reach::kPrivate,
       {"10.0.0.0", "10.255.255.255", "172.16.0.0", "172.31.255.255", "192.168.0.0",
        "192.168.255.255", "169.254.0.0", "169.254.255.255",
        "fc00::", "fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
        "fe80::", "febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "::ffff:10.0.0.1",
        "::ffff:172.31.255.255", "::ffff:192.168.1.1", "::ffff:169.254.169.254"}},
      {Reach::kExternal,
       {"126.255.255.255",
        "128.0.0.0",
        "9.255.255.255",
        "11.0.0.0",
        "172.15.255.255",
        "172.32.0.0",
        "192.167.255.255",
        "192.169.0.0",
        "169.253.255.255",
        "169.255.0.0",
        "100.64.0.1",
        "1.1.1.1",
        "8.8.8.8",
        "93.184.216.34",
        "255.255.255.255",
        "::2",
        "2606:4700:4700::1111",
        "fbff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
        "fe00::",
        "fe7f:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
        "fec0::",
        "ff02::1",
        "::ffff:8.8.8.8",
        "::ffff:172.32.0.0",
        "::ffff:11.0.0.0",
        "1::ffff:127.0.0.1",
        "1::1"}},
  };
  for (const auto& row : table) {
    for (const std::string& address : row.addresses) {
      EXPECT_EQ(reach_of_text(address), row.reach) << address;
    }
  }
}

TEST(ReachOf, OfAnyOtherKindOfAddressIsExternal) {
  sockaddr address{};
  address.sa_family = AF_UNIX;
  EXPECT_EQ(reach_of(address), Reach::kExternal);
  address.sa_family = AF_UNSPEC;
  EXPECT_EQ(reach_of(address), Reach::kExternal);
}

TEST(ReadEndpoint, TakesAUrlApart) {
  const struct {
    const char *given, *url, *scheme, *host, *port;
  } table[] = {
      {"http://localhost:8000/v1", "http://localhost:8000/v1", "http", "localhost", "8000"},
      {"http://localhost:8000/v1/", "http://localhost:8000/v1", "http", "localhost", "8000"},
      {"http://localhost:8000/v1///", "http://localhost:8000/v1", "http", "localhost", "8000"},
      {"http://judge", "http://judge", "http", "judge", "80"},
      {"http://judge/", "http://judge", "http", "judge", "80"},
      {"https://judge/a/b/v4", "https://judge/a/b/v4", "https", "judge", "443"},
      {"https://judge:8443/v1", "https://judge:8443/v1", "https", "judge", "8443"},
      {"http://10.0.0.7:65535/v1", "http://10.0.0.7:65535/v1", "http", "10.0.0.7", "65535"},
  };
  for (const auto& row : table) {
    const Endpoint endpoint = read_endpoint(with_url(row.given));
    EXPECT_EQ(endpoint.url, row.url) << row.given;
    EXPECT_EQ(endpoint.chat_url, std::string(row.url) + "/chat/completions") << row.given;
    EXPECT_EQ(endpoint.scheme, row.scheme) << row.given;
    EXPECT_EQ(endpoint.host, row.host) << row.given;
    EXPECT_EQ(endpoint.port, row.port) << row.given;
  }
}

TEST(ReadEndpoint, TakesAnIpv6Literal) {
  const Endpoint endpoint = read_endpoint(with_url("http://[::1]:8000/v1/"));
  EXPECT_EQ(endpoint.chat_url, "http://[::1]:8000/v1/chat/completions");
  EXPECT_THAT(endpoint.host, HasSubstr("::1"));
  EXPECT_EQ(endpoint.port, "8000");
}

TEST(ReadEndpoint, RefusesWhatIsNoUrlOfAnApi) {
  for (const char* url : {"", "nonsense", "localhost:8000/v1", "/v1", "http://", "http://a b/v1",
                          "http://judge:port/v1", "http://judge:70000/v1", "http://[::1/v1",
                          "ftp://judge/v1", "file:///etc/passwd", "nonsense://judge/v1"}) {
    EXPECT_THAT(refusal_of(url), HasSubstr("llm.url")) << url;
  }
  EXPECT_THAT(refusal_of("ftp://judge/v1"), HasSubstr("ftp"));
}

TEST(ReadEndpoint, RefusesANameOrAPasswordWithoutShowingIt) {
  for (const char* url : {"http://someone:hunter2@judge/v1", "https://:hunter2@judge/v1",
                          "http://hunter2@judge/v1"}) {
    const std::string why = refusal_of(url);
    EXPECT_THAT(why, HasSubstr("llm.url"));
    EXPECT_THAT(why, Not(HasSubstr("hunter2")));
  }
}

TEST(ReadEndpoint, RefusesAQueryAndAFragment) {
  for (const char* url : {"http://judge/v1?version=2", "http://judge?a", "http://judge/v1#top"}) {
    EXPECT_THAT(refusal_of(url), HasSubstr("llm.url")) << url;
  }
}

// All that is put behind such a URL would be a query, or would not be sent at all.
TEST(ReadEndpoint, RefusesAnEmptyQueryAndAnEmptyFragment) {
  for (const char* url : {"http://judge/v1?", "http://judge/v1#", "http://judge/v1?/"}) {
    EXPECT_THAT(refusal_of(url), HasSubstr("llm.url")) << url;
  }
}

TEST(RefuseOutside, AllowsThisMachine) {
  for (const char* url :
       {"http://127.0.0.1:8000/v1", "http://[::1]:8000/v1", "http://localhost:8000/v1"}) {
    EXPECT_NO_THROW(look(with_url(url))) << url;
    EXPECT_NO_THROW(look(with_url(url), true)) << url;
  }
}

TEST(RefuseOutside, AllowsThePrivateNetwork) {
  for (const char* url : {"http://10.1.2.3/v1", "http://192.168.0.9:8000/v1",
                          "http://172.20.0.1/v1", "http://[fd12::1]:8000/v1"}) {
    EXPECT_NO_THROW(look(with_url(url))) << url;
  }
}

TEST(RefuseOutside, SaysWhatWouldLeaveTheHouseAndHowToAllowIt) {
  for (const char* url : {"http://93.184.216.34/v1", "https://93.184.216.34/v1",
                          "http://172.32.0.1:8000/v1", "http://[2606:4700:4700::1111]/v1"}) {
    for (const bool has_key : {false, true}) {
      const std::string why = failure_of([&] { look(with_url(url), has_key); });
      EXPECT_THAT(why, HasSubstr(url));
      EXPECT_THAT(why, HasSubstr("the texts of sessions"));
      EXPECT_THAT(why, HasSubstr("llm.allow_external"));
    }
  }
}

TEST(RefuseOutside, SeesAnExternalAddressThroughItsDisguise) {
  // 93.184.216.34 as one number, in hexadecimal, and as an IPv6 address.
  for (const char* url : {"http://1572395042/v1", "http://0x5db8d822/v1",
                          "http://[::ffff:93.184.216.34]/v1", "http://[::ffff:5db8:d822]/v1"}) {
    EXPECT_THAT(failure_of([&] { look(with_url(url)); }), HasSubstr("llm.allow_external")) << url;
  }
}

TEST(RefuseOutside, AllowsAnExternalEndpointWhereThatIsAllowed) {
  EXPECT_NO_THROW(look(with_url("https://93.184.216.34/v1", true)));
  EXPECT_NO_THROW(look(with_url("https://93.184.216.34/v1", true), true));
  EXPECT_NO_THROW(look(with_url("http://93.184.216.34/v1", true)));
}

TEST(RefuseOutside, NeverLetsAKeyOutUnencrypted) {
  const std::string why =
      failure_of([&] { look(with_url("http://93.184.216.34/v1", true), true); });
  EXPECT_THAT(why, HasSubstr("key"));
  EXPECT_THAT(why, HasSubstr("https"));
}

}  // namespace
}  // namespace l2a
