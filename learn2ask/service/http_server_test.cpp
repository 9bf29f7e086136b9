#include "service/http_server.h"

#include <chrono>
#include <future>
#include <iterator>
#include <stdexcept>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/testing.h"
#include "service/testing.h"

namespace l2a {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

std::string status(int code) { return "HTTP/1.1 " + std::to_string(code) + " "; }

TEST(HttpServer, AnswersWhatItWasGiven) {
  Served served;
  served.begin();
  EXPECT_EQ(served.server.url(), "http://" + served.host());
  const std::string page = served.get("/page");
  EXPECT_THAT(page, StartsWith(status(200)));
  EXPECT_THAT(page, HasSubstr("\r\nContent-Type: text/plain\r\n"));
  EXPECT_THAT(page, HasSubstr("\r\nCache-Control: no-store\r\n"));
  EXPECT_TRUE(page.ends_with("\r\n\r\na page"));
  EXPECT_TRUE(served.get("/get?a=x%20y%26z&b=&a=2").ends_with(R"({"a":"x y&z","b":""})"));
  for (const size_t size : {size_t{0}, size_t{1}, Served::kLimit}) {
    const std::string length = std::to_string(size);
    const std::string said =
        served.post("Content-Length: " + length + "\r\n", std::string(size, 'x'));
    EXPECT_THAT(said, StartsWith(status(201)));
    EXPECT_TRUE(said.ends_with("\r\n\r\n" + length)) << said;
  }
  const std::string chunked =
      served.post("Transfer-Encoding: chunked\r\n", "3\r\nabc\r\n0\r\n\r\n");
  EXPECT_TRUE(chunked.ends_with("\r\n\r\n3")) << chunked;
  const std::string nothing = served.get("/nothing");
  EXPECT_THAT(nothing, StartsWith(status(404)));
  EXPECT_THAT(nothing, HasSubstr("\r\n\r\n{\"error\":"));
}

TEST(HttpServer, AnswersOnlyThoseWhoNameIt) {
  Served served;
  served.begin();
  const struct {
    const char* headers;
    int code;
  } cases[] = {{"Host: 127.0.0.1:PORT\r\n", 200},
               {"Host: localhost:PORT\r\n", 200},
               {"Host: [::1]:PORT\r\n", 200},
               {"", 403},
               {"Host: \r\n", 403},
               {"Host: 127.0.0.1\r\n", 403},
               {"Host: 127.0.0.1:1\r\n", 403},
               {"Host: evil.example:PORT\r\n", 403},
               {"Host: 127.0.0.1:PORT.evil.example\r\n", 403},
               {"Host: localhost.evil.example:PORT\r\n", 403},
               {"Host: 127.0.0.1:PORT\r\nOrigin: http://127.0.0.1:PORT\r\n", 200},
               {"Host: localhost:PORT\r\nOrigin: http://localhost:PORT\r\n", 200},
               {"Host: 127.0.0.1:PORT\r\nOrigin: null\r\n", 403},
               {"Host: 127.0.0.1:PORT\r\nOrigin: http://evil.example\r\n", 403},
               {"Host: 127.0.0.1:PORT\r\nOrigin: http://evil.example:PORT\r\n", 403},
               {"Host: 127.0.0.1:PORT\r\nOrigin: http://127.0.0.1:1\r\n", 403}};
  for (const auto& [headers, code] : cases) {
    for (const char* path : {"/page", "/get"}) {
      const std::string said =
          served.answer(std::string("GET ") + path + " HTTP/1.1\r\n" + headers);
      EXPECT_THAT(said, StartsWith(status(code))) << headers;
      if (code == 403) {
        EXPECT_THAT(said, Not(HasSubstr("a page"))) << headers;
      }
    }
  }
}

TEST(HttpServer, AsksForItsToken) {
  Served served("s3cret");
  served.begin();
  EXPECT_THAT(served.get("/page"), StartsWith(status(200)));
  for (const char* right : {"Authorization: Bearer s3cret\r\n", "X-Learn2ask-Token: s3cret\r\n"}) {
    EXPECT_THAT(served.get("/get", right), StartsWith(status(200))) << right;
    EXPECT_THAT(served.get("/nothing", right), StartsWith(status(404))) << right;
  }
  for (const char* wrong :
       {"", "Authorization: Bearer s3cre\r\n", "Authorization: Bearer s3crets\r\n",
        "Authorization: Bearer \r\n", "Authorization: Basic s3cret\r\n",
        "Authorization: s3cret\r\n", "X-Learn2ask-Token: \r\n", "X-Learn2ask-Token: S3cret\r\n",
        "Cookie: token=s3cret\r\n"}) {
    for (const char* path : {"/get", "/get?token=s3cret", "/nothing", "/page/", "/page/../get"}) {
      EXPECT_THAT(served.get(path, wrong), StartsWith(status(401))) << path << " " << wrong;
    }
  }
}

// What a refused request leaves unread must not be read as another one, which would be let in.
TEST(HttpServer, TakesNoBodyForARequest) {
  Served served;
  served.begin();
  const std::string host = "Host: " + served.host() + "\r\n";
  const std::string inner = "GET /get HTTP/1.1\r\n" + host + "\r\n";
  const std::string length = "Content-Length: " + std::to_string(inner.size()) + "\r\n\r\n";
  for (const std::string& outer :
       {"POST /length HTTP/1.1\r\n" + host + "Origin: http://elsewhere.example\r\n" + length,
        "POST /length HTTP/1.1\r\nHost: elsewhere.example\r\n" + length,
        "POST /length HTTP/1.1\r\n" + host + "Content-Length: 9000000\r\n\r\n"}) {
    Connection connection(served.port());
    connection.say(outer + inner);
    const std::string heard = connection.hear();
    EXPECT_THAT(heard, StartsWith("HTTP/1.1 4"));
    EXPECT_EQ(heard.find("HTTP/1.1 ", 1), heard.npos) << heard;
  }
}

TEST(HttpServer, RefusesALongBody) {
  Served served;
  served.begin();
  const std::string why = "body: larger than 100000 bytes";
  for (const size_t size : {Served::kLimit + 1, 3 * Served::kLimit}) {
    const std::string said =
        served.post("Content-Length: " + std::to_string(size) + "\r\n", std::string(size, 'x'));
    EXPECT_THAT(said, StartsWith(status(413)));
    EXPECT_THAT(said, HasSubstr(why));
  }
  const std::string chunk = "4000\r\n" + std::string(0x4000, 'x') + "\r\n";
  std::string chunks;
  while (chunks.size() <= Served::kLimit + chunk.size()) chunks += chunk;
  for (const std::string& body : {"493E0\r\n" + std::string(0x493E0, 'x') + "\r\n", chunks}) {
    const std::string said = served.post("Transfer-Encoding: chunked\r\n", body);
    EXPECT_THAT(said, StartsWith(status(413)));
    EXPECT_THAT(said, HasSubstr(why));
  }
  EXPECT_THAT(served.get("/page"), StartsWith(status(200)));
}

TEST(HttpServer, KeepsNoBodyOfAPathThatTakesNone) {
  Served served;
  served.begin();
  const std::string chunk = "4000\r\n" + std::string(0x4000, 'x') + "\r\n";
  std::string endless;  // the last chunk never comes
  while (endless.size() <= Served::kLimit + chunk.size()) endless += chunk;
  for (const char* method : {"POST", "PUT", "PATCH", "DELETE"}) {
    for (const char* path : {"/nothing", "/page"}) {
      Connection connection(served.port());
      connection.say(std::string(method) + " " + path + " HTTP/1.1\r\nHost: " + served.host() +
                     "\r\nTransfer-Encoding: chunked\r\n\r\n" + endless);
      const std::string heard = connection.hear();
      EXPECT_THAT(heard, StartsWith(status(404))) << method << " " << path;
      EXPECT_THAT(heard, HasSubstr("no such path")) << method << " " << path;
    }
  }
}

TEST(HttpServer, RefusesLengthsThatAreNone) {
  Served served;
  served.begin();
  for (const char* length : {"+5", "-5", "5x", "0x5", "", "99999999999999999999999"}) {
    EXPECT_THAT(served.post(std::string("Content-Length: ") + length + "\r\n", "12345"),
                StartsWith(status(400)))
        << length;
  }
}

TEST(HttpServer, RefusesForms) {
  Served served;
  served.begin();
  EXPECT_THAT(served.post("Content-Type: multipart/form-data; boundary=b\r\nContent-Length: 5\r\n",
                          "--b--"),
              StartsWith(status(415)));
}

TEST(HttpServer, SaysThatABodyBrokeOff) {
  Served served({}, 1);
  served.begin();
  Connection connection(served.port());
  connection.say("POST /length HTTP/1.1\r\nHost: " + served.host() +
                 "\r\nContent-Length: 1000\r\n\r\n" + std::string(500, 'x'));
  const std::string heard = connection.hear();
  EXPECT_THAT(heard, StartsWith(status(400)));
  EXPECT_THAT(heard, HasSubstr("body: it did not come whole"));
}

TEST(HttpServer, SaysWhatAHandlerThrew) {
  const struct {
    ErrorCode thrown;
    int code;
  } cases[] = {{ErrorCode::kInvalidInput, 400}, {ErrorCode::kUnsupported, 400},
               {ErrorCode::kNotFound, 404},     {ErrorCode::kIo, 500},
               {ErrorCode::kUnavailable, 503},  {ErrorCode::kTimeout, 503}};
  Served served;
  for (size_t i = 0; i < std::size(cases); ++i) {
    const auto throws = [thrown = cases[i].thrown](const HttpRequest&) -> HttpResponse {
      fail(thrown, "so \"it\" is");
    };
    served.server.get("/throws" + std::to_string(i), throws);
  }
  served.server.get("/bug", [](const HttpRequest&) -> HttpResponse {
    throw std::runtime_error("of the inside");
  });
  served.begin();
  for (size_t i = 0; i < std::size(cases); ++i) {
    const std::string said = served.get("/throws" + std::to_string(i));
    EXPECT_THAT(said, StartsWith(status(cases[i].code)));
    EXPECT_TRUE(said.ends_with("\r\n\r\n{\"error\":\"so \\\"it\\\" is\"}")) << said;
    EXPECT_EQ(said.find("\r\nRetry-After: ") != said.npos, cases[i].code == 503);
  }
  const std::string said = served.get("/bug");
  EXPECT_THAT(said, StartsWith(status(500)));
  EXPECT_THAT(said, Not(HasSubstr("of the inside")));
}

TEST(HttpServer, FinishesWhatItIsAnsweringAndNothingElse) {
  Served served;
  std::promise<void> begun, told;
  auto go_on = told.get_future();
  served.server.get("/slow", [&](const HttpRequest&) {
    begun.set_value();
    go_on.wait();
    return json_response("done");
  });
  served.begin();
  auto said = std::async(std::launch::async, [&] { return served.get("/slow"); });
  begun.get_future().wait();
  served.server.stop();
  auto over = std::async(std::launch::async, [&] { served.thread.join(); });
  EXPECT_EQ(over.wait_for(std::chrono::milliseconds(500)), std::future_status::timeout);
  told.set_value();
  EXPECT_TRUE(said.get().ends_with("\r\n\r\n\"done\""));
  ASSERT_EQ(over.wait_for(std::chrono::seconds(20)), std::future_status::ready);
  EXPECT_FALSE(Connection(served.port()).connected());
}

TEST(HttpServer, ListensWhereItMay) {
  const Served served;
  EXPECT_THAT(failure_of([&] { HttpServer({.port = served.port()}); }), HasSubstr("is taken"));
  for (const std::string host : {"0.0.0.0", "::", "192.0.2.1", "example.com"}) {
    EXPECT_THAT(failure_of([&] { HttpServer({.host = host}); }), HasSubstr("a token is needed"));
  }
  EXPECT_NE(HttpServer({.host = "0.0.0.0", .token = "x"}).url(), "http://0.0.0.0:0");
}

TEST(RandomToken, IsAnotherEachTime) {
  const std::string token = random_token();
  EXPECT_EQ(token.size(), 32u);
  EXPECT_EQ(token.find_first_not_of("0123456789abcdef"), token.npos);
  EXPECT_NE(token, random_token());
}

}  // namespace
}  // namespace l2a
