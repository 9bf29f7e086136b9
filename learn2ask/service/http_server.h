// HTTP/1.1 for pages and programs of this machine, with the checks that every route needs.
//
// - A server on a loopback address answers only requests that name it as such in Host, so that no
//   name that resolves to it (DNS rebinding) reaches it from a browser; and none whose Origin is
//   another page.
// - With a token, whatever is no file of a page needs it: "Authorization: Bearer TOKEN", or the
//   header X-Learn2ask-Token.
// - Bodies are read up to a limit, whatever their headers claim; a connection is closed after one
//   request.
#pragma once

#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/json.h"

namespace l2a {

struct HttpServerOptions {
  std::string host = "127.0.0.1";
  int port = 0;            // 0: any that is free
  std::string token = {};  // empty: none is asked for
  size_t max_body_bytes = 16 << 20;
  int read_seconds = 10;  // of silence in a request, after which it is given up
  size_t threads = 16;    // connections served at once; others wait
  // Told what a handler threw that was no Failure; on any thread.
  std::function<void(const std::string&)> on_defect = [](const std::string&) {};
};

struct HttpRequest {
  std::map<std::string, std::string> query;  // decoded; the first of each name
  std::string body;
};

struct HttpResponse {
  int status = 200;
  std::string body;
  std::string content_type = "application/json";
  std::vector<std::pair<std::string, std::string>> headers = {};
};
HttpResponse json_response(const Json& value, int status = 200);
// {"error": why}; kUnavailable and kTimeout are 503 with Retry-After, kNotFound is 404, what else
// is wrong with a request 400.
HttpResponse error_response(const Error& error);

// `handler` is called on several threads at once; a Failure that it throws becomes
// error_response().
class HttpServer {
 public:
  using Handler = std::function<HttpResponse(const HttpRequest&)>;

  // Listens. Throws Failure: kIo where the port is taken or the address none of this machine's;
  // kInvalidInput for an address other than loopback without a token, and for a token that cannot
  // stand in an address.
  explicit HttpServer(HttpServerOptions options);
  ~HttpServer();
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  // Before run() only.
  void get(const std::string& path, Handler handler);
  void post(const std::string& path, Handler handler);
  // Part of a page: needs no token.
  void file(const std::string& path, std::string content_type, std::string bytes);

  std::string url() const;  // "http://127.0.0.1:8100"
  // Serves until stop(), Ctrl-C or SIGTERM; requests that are being answered are finished. Throws
  // Failure (kIo) where no connection can be accepted any more.
  void run();
  void stop();  // from any thread

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// 32 random hexadecimal digits from the system.
std::string random_token();

}  // namespace l2a
