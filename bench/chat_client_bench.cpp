// Calls in flight against an endpoint that answers in 200 ms: how near to the ideal rate, at what
// cost in processor time. The endpoint is another process; every answer goes through cache and
// ledger.
//
// usage: chat_client_bench [CALLS_IN_FLIGHT] [CALLS]
#include <cstdio>
#include <cstdlib>

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/testing.h"
#include "llm/http_chat_client.h"
#include "llm/testing.h"
#include "run_bench.h"

namespace l2a {
namespace {

constexpr std::chrono::milliseconds kAnswerTime{200};

// Serves until its standard input is closed. Returns its URL and the end of the pipe to close.
std::pair<std::string, int> start_endpoint() {
  int to_parent[2], to_child[2];
  check(::pipe(to_parent) == 0 && ::pipe(to_child) == 0, "pipe");
  if (::fork() == 0) {
    ::close(to_child[1]);
    ScriptedEndpoint endpoint([](const ReceivedCall&) {
      return ScriptedAnswer{.body = chat_body(R"({"content": 1})"), .delay = kAnswerTime};
    });
    const std::string url = endpoint.url();
    check(::write(to_parent[1], url.data(), url.size()) > 0, "write");
    char end = 0;
    while (::read(to_child[0], &end, 1) > 0) {
    }
    ::_exit(0);
  }
  ::close(to_child[0]);
  char url[256];
  const ssize_t size = ::read(to_parent[0], url, sizeof url);
  return {{url, static_cast<size_t>(size)}, to_child[1]};
}

double processor_seconds() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

int run(int argc, char** argv) {
  const int64_t in_flight = argc > 1 ? std::atol(argv[1]) : 256;
  const int64_t calls = argc > 2 ? std::atol(argv[2]) : 40 * in_flight;
  const auto [url, endpoint] = start_endpoint();
  const TempDir folder;
  LlmOptions options;
  options.url = url;
  options.model = "bench";
  options.concurrency = in_flight;
  ReplyCache cache(folder / "cache.sqlite");
  Ledger ledger(folder / "ledger.jsonl");
  HttpChatClient client(options, open_transfers(options, "nothing of anyone's"), &cache, ledger);
  const auto ask = [&](int64_t first, int64_t count) {
    int64_t answered = 0;
    for (int64_t i = first; i < first + count; ++i) {
      client.submit({.messages = {{"user", std::string(2000, 'q') + std::to_string(i)}}},
                    [&](const Result<ChatReply>& reply) { answered += reply ? 1 : 0; });
    }
    client.run();
    check(answered == count, "a call was not answered");
  };
  ask(0, in_flight);  // opens the connections
  const double processor = processor_seconds();
  const auto start = std::chrono::steady_clock::now();
  ask(in_flight, calls);
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
  const double ideal = static_cast<double>(calls) / static_cast<double>(in_flight) *
                       std::chrono::duration<double>(kAnswerTime).count();
  std::printf(R"({"in_flight": %ld, "calls": %ld, "seconds": %.3f, "share_of_ideal": %.3f, )"
              R"("cores": %.3f})"
              "\n",
              in_flight, calls, took.count(), ideal / took.count(),
              (processor_seconds() - processor) / took.count());
  ::close(endpoint);
  ::wait(nullptr);
  return 0;
}

}  // namespace
}  // namespace l2a

int main(int argc, char** argv) { return l2a::run_bench(l2a::run, argc, argv); }
