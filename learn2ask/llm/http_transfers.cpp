#include "llm/http_transfers.h"

#include <unordered_map>

#include <curl/curl.h>
#include <sys/socket.h>

namespace l2a {
namespace {

struct FreeEasy {
  void operator()(CURL* handle) const { curl_easy_cleanup(handle); }
};
struct FreeMulti {
  void operator()(CURLM* handle) const { curl_multi_cleanup(handle); }
};
struct FreeList {
  void operator()(curl_slist* list) const { curl_slist_free_all(list); }
};
using Easy = std::unique_ptr<CURL, FreeEasy>;
using HeaderList = std::unique_ptr<curl_slist, FreeList>;

void initialise_once() {
  static const CURLcode code = curl_global_init(CURL_GLOBAL_DEFAULT);
  check(code == CURLE_OK, "curl_global_init");
}

struct Transfer {
  uint64_t id = 0;
  std::string body, received;
  HeaderList headers;
  std::chrono::steady_clock::time_point started;
  size_t max_bytes = 0;
  bool too_long = false;  // more than max_bytes came
  bool refused_address = false;
};

size_t receive(char* data, size_t size, size_t count, void* user) {
  auto& transfer = *static_cast<Transfer*>(user);
  const size_t bytes = size * count;
  if (transfer.received.size() + bytes > transfer.max_bytes) {
    transfer.too_long = true;
    return 0;  // breaks the transfer off
  }
  transfer.received.append(data, bytes);
  return bytes;
}

// A name that was inside the house a moment ago may now stand for an address outside.
curl_socket_t open_inside(void* user, curlsocktype, curl_sockaddr* address) {
  if (reach_of(address->addr) == Reach::kExternal) {
    static_cast<Transfer*>(user)->refused_address = true;
    return CURL_SOCKET_BAD;
  }
  return ::socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

template <class Value>
void set(CURL* easy, CURLoption option, Value value) {
  check(curl_easy_setopt(easy, option, value) == CURLE_OK, "curl_easy_setopt");
}

template <class Value>
Value info(CURL* easy, CURLINFO which) {
  Value value{};
  check(curl_easy_getinfo(easy, which, &value) == CURLE_OK, "curl_easy_getinfo");
  return value;
}

void add_header(HeaderList& list, const std::string& line) {
  curl_slist* longer = curl_slist_append(list.get(), line.c_str());
  check(longer != nullptr, "curl_slist_append");
  [[maybe_unused]] curl_slist* same = list.release();
  list.reset(longer);
}

bool never_trusted(CURLcode code) {
  return code == CURLE_PEER_FAILED_VERIFICATION || code == CURLE_SSL_CACERT_BADFILE ||
         code == CURLE_SSL_ISSUER_ERROR || code == CURLE_SSL_INVALIDCERTSTATUS;
}

Error error_of(const Transfer& transfer, CURLcode code) {
  if (transfer.too_long) {
    return {ErrorCode::kInvalidInput,
            "an answer of more than " + std::to_string(transfer.max_bytes) + " bytes"};
  }
  if (transfer.refused_address) {
    return {ErrorCode::kUnsupported, "the host's address is now outside the private network"};
  }
  ErrorCode kind = ErrorCode::kUnavailable;
  if (code == CURLE_OPERATION_TIMEDOUT) kind = ErrorCode::kTimeout;
  if (never_trusted(code)) kind = ErrorCode::kUnsupported;
  return {kind, curl_easy_strerror(code)};
}

}  // namespace

struct HttpTransfers::State {
  Endpoint endpoint;
  LlmOptions options;
  std::optional<ApiKey> key;
  std::unique_ptr<CURLM, FreeMulti> multi;
  std::vector<Easy> idle;  // kept for the next transfers
  std::unordered_map<CURL*, std::pair<Easy, std::unique_ptr<Transfer>>> running;

  Easy take_handle();
  void prepare(CURL* easy, Transfer& transfer) const;
  EndpointResponse response_of(CURL* easy, Transfer& transfer) const;
};

Easy HttpTransfers::State::take_handle() {
  Easy easy;
  if (idle.empty()) {
    easy.reset(curl_easy_init());
  } else {
    easy = std::move(idle.back());
    idle.pop_back();
    curl_easy_reset(easy.get());
  }
  check(easy != nullptr, "curl_easy_init");
  return easy;
}

void HttpTransfers::State::prepare(CURL* easy, Transfer& transfer) const {
  set(easy, CURLOPT_URL, endpoint.chat_url.c_str());
  set(easy, CURLOPT_PROTOCOLS_STR, "http,https");
  set(easy, CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_1_1));
  set(easy, CURLOPT_NOSIGNAL, 1L);
  set(easy, CURLOPT_USERAGENT, "learn2ask");
  set(easy, CURLOPT_HTTPHEADER, transfer.headers.get());
  set(easy, CURLOPT_POSTFIELDS, transfer.body.data());
  set(easy, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(transfer.body.size()));
  set(easy, CURLOPT_TIMEOUT_MS, static_cast<long>(options.timeout_s * 1e3));
  set(easy, CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(options.connect_timeout_s * 1e3));
  set(easy, CURLOPT_WRITEFUNCTION, receive);
  set(easy, CURLOPT_WRITEDATA, &transfer);
  if (options.allow_external) return;
  set(easy, CURLOPT_PROXY, "");
  set(easy, CURLOPT_OPENSOCKETFUNCTION, open_inside);
  set(easy, CURLOPT_OPENSOCKETDATA, &transfer);
}

EndpointResponse HttpTransfers::State::response_of(CURL* easy, Transfer& transfer) const {
  EndpointResponse response;
  response.status = static_cast<int>(info<long>(easy, CURLINFO_RESPONSE_CODE));
  response.retry_after_s = static_cast<double>(info<curl_off_t>(easy, CURLINFO_RETRY_AFTER));
  response.body = std::move(transfer.received);
  return response;
}

HttpTransfers::HttpTransfers(const Endpoint& endpoint, const LlmOptions& options,
                             std::optional<ApiKey> key)
    : state_(std::make_unique<State>()) {
  initialise_once();
  state_->endpoint = endpoint;
  state_->options = options;
  state_->key = std::move(key);
  state_->multi.reset(curl_multi_init());
  check(state_->multi != nullptr, "curl_multi_init");
  // libcurl keeps as many connections as it has transfers, but closes more than this many.
  curl_multi_setopt(state_->multi.get(), CURLMOPT_MAXCONNECTS,
                    static_cast<long>(options.concurrency));
}

HttpTransfers::~HttpTransfers() {
  for (const auto& [easy, owned] : state_->running) {
    curl_multi_remove_handle(state_->multi.get(), easy);
  }
}

void HttpTransfers::start(uint64_t id, std::string body, int64_t retries) {
  auto transfer = std::make_unique<Transfer>();
  transfer->id = id;
  transfer->body = std::move(body);
  transfer->max_bytes = static_cast<size_t>(state_->options.max_reply_bytes);
  transfer->started = std::chrono::steady_clock::now();
  add_header(transfer->headers, "Content-Type: application/json");
  add_header(transfer->headers, "Expect:");  // sends the body at once
  add_header(transfer->headers, "X-Stainless-Retry-Count: " + std::to_string(retries));
  if (state_->key) {
    add_header(transfer->headers, "Authorization: Bearer " + state_->key->reveal());
  }
  Easy easy = state_->take_handle();
  state_->prepare(easy.get(), *transfer);
  CURL* const handle = easy.get();
  check(curl_multi_add_handle(state_->multi.get(), handle) == CURLM_OK, "curl_multi_add_handle");
  state_->running.emplace(handle, std::pair(std::move(easy), std::move(transfer)));
}

std::vector<EndedTransfer> HttpTransfers::proceed() {
  CURLM* const multi = state_->multi.get();
  int running = 0;
  check(curl_multi_perform(multi, &running) == CURLM_OK, "curl_multi_perform");
  std::vector<EndedTransfer> ended;
  int left = 0;
  while (const CURLMsg* message = curl_multi_info_read(multi, &left)) {
    if (message->msg != CURLMSG_DONE) continue;
    CURL* const easy = message->easy_handle;
    const CURLcode code = message->data.result;
    const auto found = state_->running.find(easy);
    Transfer& transfer = *found->second.second;
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - transfer.started;
    const bool sent = info<long>(easy, CURLINFO_REQUEST_SIZE) > 0;
    ended.push_back({transfer.id, error_of(transfer, code), sent, took.count()});
    if (code == CURLE_OK) ended.back().response = state_->response_of(easy, transfer);
    curl_multi_remove_handle(multi, easy);
    state_->idle.push_back(std::move(found->second.first));
    state_->running.erase(found);
  }
  return ended;
}

std::string HttpTransfers::without_key(std::string text) const {
  return state_->key ? state_->key->scrub(std::move(text)) : text;
}

void HttpTransfers::wait(std::chrono::milliseconds at_most) {
  curl_multi_poll(state_->multi.get(), nullptr, 0, static_cast<int>(at_most.count()), nullptr);
}

std::unique_ptr<HttpTransfers> open_transfers(const LlmOptions& options, const std::string& sent) {
  const Endpoint endpoint = read_endpoint(options);
  if (options.replay) return nullptr;
  std::optional<ApiKey> key = find_key(options);
  refuse_outside(endpoint, options, key.has_value(), sent);
  return std::make_unique<HttpTransfers>(endpoint, options, std::move(key));
}

}  // namespace l2a
