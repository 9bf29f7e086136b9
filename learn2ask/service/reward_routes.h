// Rewards over HTTP, in the forms of reward_forms.h.
//
// Requests that wait at the same time are scored together, by one thread: graders are not
// thread-safe, and faster in batches. Where a form has no null, replies that stay unscored are
// scored again until the patience is over, if asking again may change anything; then the request is
// answered 503 with Retry-After.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "hindsight/sample_index.h"
#include "reward/score.h"
#include "service/http_server.h"
#include "service/reward_forms.h"

namespace l2a {

// Scores replies. `attempt` counts from 0: whoever scores by asking a language model asks anew. A
// Failure that it throws is of all requests, and ends the service.
using ScoreReplies =
    std::function<std::vector<ScoredReply>(std::span<const ScoreRequest>, uint64_t attempt)>;

// Thread-safe.
class RewardRoutes {
 public:
  // `server` and `samples` must outlive it.
  RewardRoutes(HttpServer& server, const SampleIndex& samples, ScoreReplies score,
               RewardSource source, std::chrono::duration<double> patience);
  ~RewardRoutes();
  RewardRoutes(const RewardRoutes&) = delete;
  RewardRoutes& operator=(const RewardRoutes&) = delete;

  // After the server has stopped: throws what scoring threw.
  void finish();

 private:
  struct Job {
    std::vector<ScoreRequest> requests;
    uint64_t attempt = 0;
    std::optional<Result<std::vector<ScoredReply>>> result = {};
  };
  HttpResponse answer(const RewardForm& form, const HttpRequest& request);
  Result<std::vector<ScoredReply>> score(std::vector<ScoreRequest> requests, uint64_t attempt);
  std::optional<Error> score_again(std::span<const ScoreRequest> requests,
                                   std::vector<ScoredReply>& replies);
  void work();
  void work_on(const std::vector<Job*>& jobs);

  HttpServer& server_;
  const SampleIndex& samples_;
  const ScoreReplies score_;
  const RewardSource source_;
  const std::chrono::duration<double> patience_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Job*> waiting_;
  bool stopping_ = false;
  std::optional<Error> failure_;
  std::thread worker_;
};

}  // namespace l2a
