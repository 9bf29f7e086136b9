// What service's tests share.
#pragma once

#include <string>
#include <thread>
#include <utility>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "service/http_server.h"

namespace l2a {

// One to a server on this machine; what is said goes out as it stands.
class Connection {
 public:
  explicit Connection(int port) : socket_(::socket(AF_INET, SOCK_STREAM, 0)) {
    const timeval patience{.tv_sec = 20, .tv_usec = 0};
    ::setsockopt(socket_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<uint16_t>(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    connected_ = ::connect(socket_, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
  }
  ~Connection() { ::close(socket_); }
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  bool connected() const { return connected_; }
  void say(const std::string& bytes) {
    for (size_t sent = 0; sent < bytes.size();) {
      const auto n = ::send(socket_, bytes.data() + sent, bytes.size() - sent, MSG_NOSIGNAL);
      if (n <= 0) return;  // hung up on: what it answered says why
      sent += static_cast<size_t>(n);
    }
  }
  // All until the server closes.
  std::string hear() {
    std::string heard;
    char bytes[4096];
    for (ssize_t n = 0; (n = ::recv(socket_, bytes, sizeof bytes, 0)) > 0;) {
      heard.append(bytes, static_cast<size_t>(n));
    }
    return heard;
  }

 private:
  int socket_;
  bool connected_ = false;
};

// A server that serves on a thread of its own until the end of the test.
class Served {
 public:
  static constexpr size_t kLimit = 100'000;  // of a body, in bytes

  explicit Served(std::string token = {}, int read_seconds = 10)
      : server({.token = token, .max_body_bytes = kLimit, .read_seconds = read_seconds}) {
    server.file("/page", "text/plain", "a page");
    server.get("/get", [](const HttpRequest& request) {
      Json query = Json::object();
      for (const auto& [name, value] : request.query) query[name] = value;
      return json_response(query);
    });
    server.post("/length",
                [](const HttpRequest& request) { return json_response(request.body.size(), 201); });
  }
  ~Served() {
    server.stop();
    if (thread.joinable()) thread.join();
  }
  void begin() {
    thread = std::thread([this] { server.run(); });
  }
  int port() const { return std::stoi(server.url().substr(server.url().rfind(':') + 1)); }
  std::string host() const { return "127.0.0.1:" + std::to_string(port()); }

  // The answer to a request of these lines, with "PORT" as the server has it.
  std::string answer(std::string head, const std::string& body = {}) const {
    while (head.find("PORT") != head.npos) {
      head.replace(head.find("PORT"), 4, std::to_string(port()));
    }
    Connection connection(port());
    connection.say(head + "Connection: close\r\n\r\n" + body);
    return connection.hear();
  }
  std::string get(const std::string& path, const std::string& headers = {}) const {
    return answer("GET " + path + " HTTP/1.1\r\nHost: 127.0.0.1:PORT\r\n" + headers);
  }
  std::string post(const std::string& headers, const std::string& body) const {
    return answer("POST /length HTTP/1.1\r\nHost: 127.0.0.1:PORT\r\n" + headers, body);
  }

  HttpServer server;
  std::thread thread;
};

}  // namespace l2a
