// Chat models for tests that answer, or fail to, as a script says: in process, and as an endpoint
// on a port of this machine.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstring>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/error.h"
#include "base/json.h"
#include "llm/chat.h"

namespace l2a {

// Answers in process.
class ScriptedClient final : public ChatClient {
 public:
  using Script = std::function<Result<ChatReply>(const ChatRequest&)>;
  explicit ScriptedClient(Script script) : script_(std::move(script)) {}
  std::string name() const override { return "script"; }
  void submit(ChatRequest request, OnReply on_reply) override {
    requests.push_back(request);
    waiting_.emplace_back(std::move(request), std::move(on_reply));
  }
  void run() override {
    while (!waiting_.empty()) {
      for (const auto& [request, on_reply] : std::exchange(waiting_, {})) {
        on_reply(script_(request));
      }
    }
  }
  std::vector<ChatRequest> requests;

 private:
  Script script_;
  std::vector<std::pair<ChatRequest, OnReply>> waiting_;
};

struct ReceivedCall {
  std::map<std::string, std::string> headers;  // names in lower case
  std::string body;
  size_t number = 0;  // 1 for the first of the endpoint

  int64_t retries() const { return std::stoll(headers.at("x-stainless-retry-count")); }
  std::string last_message() const {
    return (*parse_json(body))["messages"].back()["content"].get<std::string>();
  }
};

enum class Manner {
  kWhole,
  kReset,  // the connection breaks, nothing is said
  kHang,   // nothing is said, ever
  kDrip,   // a byte every 20 ms
  kCut,    // half of the body, then the connection ends
  kTwice,  // the whole answer two times
};

struct ScriptedAnswer {
  int status = 200;
  std::string body{};
  std::vector<std::string> headers{};
  Manner manner = Manner::kWhole;
  std::chrono::milliseconds delay{0};
};

// The body of an answer that says `text`.
inline std::string chat_body(const std::string& text, int64_t prompt = 10, int64_t completion = 5,
                             const std::string& finish = "stop") {
  Json body = {{"object", "chat.completion"}};
  body["choices"] = Json::array({{{"index", 0},
                                  {"message", {{"role", "assistant"}, {"content", text}}},
                                  {"finish_reason", finish}}});
  body["usage"] = {{"prompt_tokens", prompt}, {"completion_tokens", completion}};
  return dump_json(body);
}
inline ScriptedAnswer says(const std::string& text) { return {.body = chat_body(text)}; }

class ScriptedEndpoint {
 public:
  using Script = std::function<ScriptedAnswer(const ReceivedCall&)>;

  // Calls `script` on many threads at once.
  explicit ScriptedEndpoint(Script script) : script_(std::move(script)) {
    listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    check(::bind(listener_, reinterpret_cast<sockaddr*>(&address), size) == 0 &&
              ::listen(listener_, 1024) == 0 &&
              ::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size) == 0,
          "ScriptedEndpoint: listen");
    port_ = ntohs(address.sin_port);
    accepting_ = std::thread([this] { accept_all(); });
  }
  ~ScriptedEndpoint() {
    {
      const std::lock_guard lock(mutex_);
      stopping_ = true;
      for (const int connection : open_) ::shutdown(connection, SHUT_RDWR);
    }
    stopped_.notify_all();
    ::shutdown(listener_, SHUT_RDWR);
    accepting_.join();
    for (std::thread& thread : connections_) thread.join();
    ::close(listener_);
  }
  ScriptedEndpoint(const ScriptedEndpoint&) = delete;
  ScriptedEndpoint& operator=(const ScriptedEndpoint&) = delete;

  std::string url() const { return "http://127.0.0.1:" + std::to_string(port_) + "/v1"; }
  size_t calls() const { return calls_; }
  size_t connections() const { return opened_; }

 private:
  void accept_all() {
    while (true) {
      const int connection = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
      const std::lock_guard lock(mutex_);
      if (stopping_ || connection < 0) {
        if (connection >= 0) ::close(connection);
        return;
      }
      const int yes = 1;
      ::setsockopt(connection, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
      ++opened_;
      open_.insert(connection);
      connections_.emplace_back([this, connection] { serve(connection); });
    }
  }

  void serve(int connection) {
    std::string received;
    while (auto call = read_call(connection, received)) {
      call->number = ++calls_;
      if (!send_answer(connection, script_(*call))) break;
    }
    const std::lock_guard lock(mutex_);
    open_.erase(connection);
    ::close(connection);
  }

  // The next request; nullopt at the end of the connection. `received` keeps what came too early.
  static std::optional<ReceivedCall> read_call(int connection, std::string& received) {
    const auto more = [&] {
      char chunk[65536];
      const ssize_t got = ::recv(connection, chunk, sizeof chunk, 0);
      if (got > 0) received.append(chunk, static_cast<size_t>(got));
      return got > 0;
    };
    size_t end = 0;
    while ((end = received.find("\r\n\r\n")) == received.npos) {
      if (!more()) return std::nullopt;
    }
    ReceivedCall call;
    for (size_t at = received.find("\r\n") + 2; at < end;) {
      const size_t line_end = received.find("\r\n", at), colon = received.find(':', at);
      std::string name = received.substr(at, colon - at);
      for (char& c : name) c = static_cast<char>(std::tolower(c));
      call.headers[name] = received.substr(colon + 2, line_end - colon - 2);
      at = line_end + 2;
    }
    const size_t length = std::stoul(call.headers.at("content-length"));
    while (received.size() < end + 4 + length) {
      if (!more()) return std::nullopt;
    }
    call.body = received.substr(end + 4, length);
    received.erase(0, end + 4 + length);
    return call;
  }

  // False: the connection is over.
  bool send_answer(int connection, const ScriptedAnswer& answer) {
    if (!sleep(answer.delay)) return false;
    std::string text = "HTTP/1.1 " + std::to_string(answer.status) + " Status\r\n";
    for (const std::string& header : answer.headers) text += header + "\r\n";
    text +=
        "Content-Type: application/json\r\nContent-Length: " + std::to_string(answer.body.size()) +
        "\r\n\r\n" + answer.body;
    switch (answer.manner) {
      case Manner::kWhole:
        return send_all(connection, text);
      case Manner::kTwice:
        return send_all(connection, text + text);
      case Manner::kCut:
        send_all(connection, text.substr(0, text.size() - answer.body.size() / 2));
        ::shutdown(connection, SHUT_RDWR);
        return false;
      case Manner::kReset: {
        const linger at_once{1, 0};
        ::setsockopt(connection, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
        return false;  // closing it now resets it
      }
      case Manner::kHang:
        return sleep(std::chrono::hours(1));
      case Manner::kDrip:
        for (const char c : text) {
          if (!sleep(std::chrono::milliseconds(20)) || !send_all(connection, {&c, 1})) return false;
        }
        return true;
    }
    return false;
  }

  static bool send_all(int connection, std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t sent = ::send(connection, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent <= 0) return false;
      bytes.remove_prefix(static_cast<size_t>(sent));
    }
    return true;
  }

  // False: the endpoint is closed meanwhile.
  bool sleep(std::chrono::milliseconds time) {
    if (time.count() == 0) return true;
    std::unique_lock lock(mutex_);
    return !stopped_.wait_for(lock, time, [this] { return stopping_; });
  }

  Script script_;
  int listener_ = -1;
  uint16_t port_ = 0;
  std::atomic<size_t> calls_ = 0, opened_ = 0;
  std::mutex mutex_;
  std::condition_variable stopped_;
  bool stopping_ = false;
  std::set<int> open_;
  std::thread accepting_;
  std::vector<std::thread> connections_;
};

}  // namespace l2a
