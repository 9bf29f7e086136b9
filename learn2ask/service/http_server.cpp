#include "service/http_server.h"

#include <algorithm>
#include <atomic>
#include <cctype>
#include <charconv>
#include <chrono>
#include <optional>
#include <set>
#include <thread>

#include <httplib.h>
#include <openssl/crypto.h>
#include <signal.h>
#include <sys/random.h>

#include "base/interrupt.h"
#include "base/utf8.h"

namespace l2a {
namespace {

constexpr auto kLooksForInterrupt = std::chrono::milliseconds(50);
constexpr size_t kAbsurd = 16;  // times the longest body
constexpr int kWaitingConnections = 4096;
constexpr const char* kRetryAfterSeconds = "5";

bool is_loopback(const std::string& host) {
  return host == "127.0.0.1" || host == "localhost" || host == "::1";
}

std::string in_url(const std::string& host) {
  return host.find(':') == host.npos ? host : "[" + host + "]";
}

// As it may stand in an address.
bool is_plain(const std::string& token) {
  return std::all_of(token.begin(), token.end(), [](unsigned char c) {
    return std::isalnum(c) ||
           std::string_view("-._~").find(static_cast<char>(c)) != std::string_view::npos;
  });
}

// 0 where it claims none; nullopt where that is no number, or too large for one.
std::optional<size_t> claimed_length(const httplib::Request& request) {
  const std::string text = request.get_header_value("Content-Length");
  if (text.empty()) return request.has_header("Content-Length") ? std::nullopt : std::optional(0);
  size_t length = 0;
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, length);
  return error == std::errc() && stop == end ? std::optional(length) : std::nullopt;
}

bool same_secret(const std::string& a, const std::string& b) {
  return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

void answer(const HttpResponse& from, httplib::Response& to) {
  to.status = from.status;
  to.set_content(from.body, from.content_type.c_str());
  for (const auto& [name, value] : from.headers) to.set_header(name.c_str(), value.c_str());
}

HttpResponse error_response(int status, const std::string& why) {
  return json_response({{"error", why}}, status);
}

}  // namespace

HttpResponse json_response(const Json& value, int status) {
  return {.status = status, .body = dump_json(value)};
}

HttpResponse error_response(const Error& error) {
  switch (error.code) {
    case ErrorCode::kUnavailable:
    case ErrorCode::kTimeout: {
      HttpResponse response = error_response(503, error.message);
      response.headers.emplace_back("Retry-After", kRetryAfterSeconds);
      return response;
    }
    case ErrorCode::kNotFound:
      return error_response(404, error.message);
    case ErrorCode::kIo:
      return error_response(500, error.message);
    default:
      return error_response(400, error.message);
  }
}

struct HttpServer::Impl {
  explicit Impl(HttpServerOptions its_options) : options(std::move(its_options)) {}

  // Whether the request may be answered at all.
  httplib::Server::HandlerResponse admit(const httplib::Request& request,
                                         httplib::Response& response) const {
    using Handled = httplib::Server::HandlerResponse;
    const auto refuse = [&](int status, const char* why) {
      answer(error_response(status, why), response);
      response.set_header("Connection", "close");
      return Handled::Handled;
    };
    if (is_loopback(options.host)) {
      if (!names_us(request.get_header_value("Host"))) {
        return refuse(403, "Host: this server answers to its own address only");
      }
      const std::string origin = request.get_header_value("Origin");
      const size_t at = origin.find("://");
      if (!origin.empty() && (at == origin.npos || !names_us(origin.substr(at + 3)))) {
        return refuse(403, "Origin: another page may not ask this server");
      }
    }
    // The library reads a body that is too long to its end, so that who sends it can read the
    // answer. To no end, though.
    const auto length = claimed_length(request);
    if (!length) return refuse(400, "Content-Length: expected a number of bytes");
    if (*length > kAbsurd * options.max_body_bytes) return refuse(413, "body: far too large");
    if (request.is_multipart_form_data()) return refuse(415, "Content-Type: send the JSON itself");
    if (!options.token.empty() && !files.contains(request.path) && !has_token(request)) {
      return refuse(401, "token: missing or wrong");
    }
    return Handled::Unhandled;
  }

  // "127.0.0.1:8100", "localhost:8100".
  bool names_us(const std::string& host) const {
    for (const char* name : {"127.0.0.1", "localhost", "[::1]"}) {
      if (host == name + (":" + std::to_string(options.port))) return true;
      if (options.port == 80 && host == name) return true;
    }
    return false;
  }

  bool has_token(const httplib::Request& request) const {
    return same_secret(request.get_header_value("X-Learn2ask-Token"), options.token) ||
           same_secret(request.get_header_value("Authorization"), "Bearer " + options.token);
  }

  void call(const Handler& handler, const HttpRequest& request, httplib::Response& response) const {
    try {
      answer(handler(request), response);
    } catch (const Failure& failure) {
      answer(l2a::error_response(failure.error), response);
    }
  }

  // Without a route the library would keep a body of any size before it answers.
  void refuse_other_paths() {
    const auto refuse = [limit = options.max_body_bytes](const httplib::Request&,
                                                         httplib::Response& response,
                                                         const httplib::ContentReader& read) {
      size_t passed = 0;
      read([&](const char*, size_t size) { return (passed += size) <= limit; });
      answer(error_response(404, "no such path"), response);
      response.set_header("Connection", "close");
    };
    server.Post(".*", refuse);
    server.Put(".*", refuse);
    server.Patch(".*", refuse);
    server.Delete(".*", refuse);
  }

  HttpServerOptions options;
  httplib::Server server;
  int listener = -1;
  std::set<std::string> files;
  std::atomic<bool> stopping = false;
};

HttpServer::HttpServer(HttpServerOptions options) : impl_(std::make_unique<Impl>(options)) {
  if (!is_loopback(options.host) && options.token.empty()) {
    fail_input("--host " + shown(options.host) +
               ": others could reach it: a token is needed (environment LEARN2ASK_TOKEN)");
  }
  if (!is_plain(options.token)) {
    fail_input("LEARN2ASK_TOKEN: expected letters, digits and - . _ ~ alone");
  }
  httplib::Server& server = impl_->server;
  server.new_task_queue = [threads = options.threads] { return new httplib::ThreadPool(threads); };
  // One request a connection: what a refused one left unread must not be taken for another one.
  server.set_keep_alive_max_count(1);
  server.set_read_timeout(options.read_seconds);
  server.set_payload_max_length(options.max_body_bytes);
  server.set_tcp_nodelay(true);
  // Another server at the same port is an error, not a colleague.
  server.set_socket_options([this](int socket) {
    const int yes = 1;
    ::setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    impl_->listener = socket;
  });
  server.set_default_headers(
      {{"Content-Security-Policy", "default-src 'self'; frame-ancestors 'none'"},
       {"X-Content-Type-Options", "nosniff"},
       {"Referrer-Policy", "no-referrer"},
       {"Cache-Control", "no-store"}});
  server.set_pre_routing_handler(
      [this](const httplib::Request& request, httplib::Response& response) {
        return impl_->admit(request, response);
      });
  server.set_error_handler([](const httplib::Request&, httplib::Response& response) {
    if (!response.body.empty()) return;
    answer(error_response(response.status, "HTTP status " + std::to_string(response.status)),
           response);
  });
  server.set_exception_handler(
      [this](const httplib::Request&, httplib::Response& response, std::exception_ptr thrown) {
        try {
          std::rethrow_exception(thrown);
        } catch (const std::exception& error) {
          impl_->options.on_defect(error.what());
        }
        answer(error_response(500, "internal error: see what the server says"), response);
      });
  const int port = options.port == 0 ? server.bind_to_any_port(options.host)
                   : server.bind_to_port(options.host, options.port) ? options.port
                                                                     : -1;
  if (port < 0) {
    fail(ErrorCode::kIo, "listen: " + in_url(options.host) + ":" + std::to_string(options.port) +
                             ": the port is taken, or the address is none of this machine");
  }
  // The library lets five wait, and a trainer opens a thousand connections at once.
  ::listen(impl_->listener, kWaitingConnections);
  impl_->options.port = port;
}

HttpServer::~HttpServer() = default;

void HttpServer::get(const std::string& path, Handler handler) {
  impl_->server.Get(path, [this, handler = std::move(handler)](const httplib::Request& request,
                                                               httplib::Response& response) {
    HttpRequest asked;
    for (const auto& [name, value] : request.params) asked.query.emplace(name, value);
    impl_->call(handler, asked, response);
  });
}

void HttpServer::post(const std::string& path, Handler handler) {
  impl_->server.Post(path, [this, handler = std::move(handler)](
                               const httplib::Request&, httplib::Response& response,
                               const httplib::ContentReader& read) {
    HttpRequest asked;
    const size_t limit = impl_->options.max_body_bytes;
    bool too_long = false;
    const bool whole = read([&](const char* data, size_t size) {
      too_long = asked.body.size() + size > limit;
      if (too_long) return false;
      asked.body.append(data, size);
      return true;
    });
    if (whole) {
      impl_->call(handler, asked, response);
      return;
    }
    too_long |= response.status == 413;
    answer(too_long ? error_response(413, "body: larger than " + std::to_string(limit) + " bytes")
                    : error_response(400, "body: it did not come whole"),
           response);
    response.set_header("Connection", "close");
  });
}

void HttpServer::file(const std::string& path, std::string content_type, std::string bytes) {
  impl_->files.insert(path);
  get(path,
      [response = HttpResponse{.body = std::move(bytes), .content_type = std::move(content_type)}](
          const HttpRequest&) { return response; });
}

std::string HttpServer::url() const {
  return "http://" + in_url(impl_->options.host) + ":" + std::to_string(impl_->options.port);
}

void HttpServer::run() {
  impl_->refuse_other_paths();
  std::atomic<bool> over = false;
  std::thread watch([&] {
    while (!over && !impl_->stopping && !is_interrupted()) {
      std::this_thread::sleep_for(kLooksForInterrupt);
    }
    while (!over && !impl_->server.is_running()) std::this_thread::sleep_for(kLooksForInterrupt);
    impl_->server.stop();
  });
  // Signals go to `watch`: one that interrupts accept() would close the socket twice.
  sigset_t ours, before;
  sigemptyset(&ours);
  sigaddset(&ours, SIGINT);
  sigaddset(&ours, SIGTERM);
  ::pthread_sigmask(SIG_BLOCK, &ours, &before);
  const bool ended_well = impl_->server.listen_after_bind();
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  over = true;
  watch.join();
  if (!ended_well && !impl_->stopping && !is_interrupted()) {
    fail(ErrorCode::kIo, "listen: " + url() + ": no more connections could be accepted");
  }
}

void HttpServer::stop() { impl_->stopping = true; }

std::string random_token() {
  unsigned char bytes[16];
  if (::getrandom(bytes, sizeof bytes, 0) != sizeof bytes) {
    fail(ErrorCode::kIo, "random numbers: the system gives none");
  }
  constexpr const char* kDigits = "0123456789abcdef";
  std::string token;
  for (const unsigned char byte : bytes) {
    token += kDigits[byte >> 4];
    token += kDigits[byte & 15];
  }
  return token;
}

}  // namespace l2a
