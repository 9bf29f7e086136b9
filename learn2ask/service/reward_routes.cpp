#include "service/reward_routes.h"

#include <algorithm>

#include "base/interrupt.h"

namespace l2a {
namespace {

constexpr auto kFirstWait = std::chrono::milliseconds(250);
constexpr auto kLongestWait = std::chrono::milliseconds(8000);
constexpr auto kLooksForInterrupt = std::chrono::milliseconds(50);

Error stopped() { return {ErrorCode::kUnavailable, "the server is ending"}; }

}  // namespace

RewardRoutes::RewardRoutes(HttpServer& server, const SampleIndex& samples, ScoreReplies score,
                           RewardSource source, std::chrono::duration<double> patience)
    : server_(server),
      samples_(samples),
      score_(std::move(score)),
      source_(std::move(source)),
      patience_(patience),
      worker_([this] { work(); }) {
  for (const RewardForm& form : reward_forms()) {
    server.post(form.path,
                [this, &form](const HttpRequest& request) { return answer(form, request); });
  }
}

RewardRoutes::~RewardRoutes() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  worker_.join();
}

void RewardRoutes::finish() {
  const std::lock_guard lock(mutex_);
  if (failure_) throw Failure(*failure_);
}

HttpResponse RewardRoutes::answer(const RewardForm& form, const HttpRequest& request) {
  const auto body = parse_json_with_nul(request.body);
  if (!body) return error_response(body.error());
  auto requests = form.read(*body, samples_);
  if (!requests) return error_response(requests.error());
  auto replies = score(*requests, 0);
  if (!replies) return error_response(replies.error());
  if (!form.has_null) {
    if (const auto error = score_again(*requests, *replies)) return error_response(*error);
  }
  return json_response(form.write(*replies, source_));
}

Result<std::vector<ScoredReply>> RewardRoutes::score(std::vector<ScoreRequest> requests,
                                                     uint64_t attempt) {
  Job job{.requests = std::move(requests), .attempt = attempt};
  std::unique_lock lock(mutex_);
  if (failure_) return *failure_;
  if (stopping_) return stopped();
  waiting_.push_back(&job);
  changed_.notify_all();
  changed_.wait(lock, [&] { return job.result.has_value(); });
  return std::move(*job.result);
}

// Scores what is unscored until nothing is; an Error when the patience is over, or cannot help.
std::optional<Error> RewardRoutes::score_again(std::span<const ScoreRequest> requests,
                                               std::vector<ScoredReply>& replies) {
  const auto give_up = std::chrono::steady_clock::now() + patience_;
  std::chrono::milliseconds wait = kFirstWait;
  for (uint64_t attempt = 1;; ++attempt) {
    std::vector<size_t> unscored;
    std::vector<ScoreRequest> again;
    for (size_t i = 0; i < replies.size(); ++i) {
      if (replies[i].reward) continue;
      unscored.push_back(i);
      again.push_back(requests[i]);
    }
    if (unscored.empty()) return std::nullopt;
    if (!source_.may_change() || std::chrono::steady_clock::now() + wait > give_up) {
      return Error{
          ErrorCode::kUnavailable,
          std::to_string(unscored.size()) + " of " + std::to_string(replies.size()) +
              " replies could not be scored, the first: " + replies[unscored.front()].reason};
    }
    {
      std::unique_lock lock(mutex_);
      const auto until = std::chrono::steady_clock::now() + wait;
      const auto ends = [&] { return stopping_ || failure_ || is_interrupted(); };
      while (!ends() && std::chrono::steady_clock::now() < until) {
        changed_.wait_for(lock, kLooksForInterrupt);
      }
      if (ends()) return stopped();
    }
    wait = std::min<std::chrono::milliseconds>(2 * wait, kLongestWait);
    auto scored = score(std::move(again), attempt);
    if (!scored) return scored.error();
    for (size_t k = 0; k < unscored.size(); ++k) replies[unscored[k]] = std::move((*scored)[k]);
  }
}

void RewardRoutes::work() {
  std::unique_lock lock(mutex_);
  while (true) {
    changed_.wait(lock, [&] { return stopping_ || !waiting_.empty(); });
    if (waiting_.empty()) return;  // stopping, and nobody waits
    std::vector<Job*> jobs;
    const uint64_t attempt = waiting_.front()->attempt;
    std::erase_if(waiting_, [&](Job* job) {
      if (job->attempt != attempt) return false;
      jobs.push_back(job);
      return true;
    });
    lock.unlock();
    work_on(jobs);
    lock.lock();
    if (failure_) {
      for (Job* job : waiting_) job->result = *failure_;
      waiting_.clear();
    }
    changed_.notify_all();
  }
}

// Jobs of one attempt. Their results are seen by those who wait once the lock is held again.
void RewardRoutes::work_on(const std::vector<Job*>& jobs) {
  std::vector<ScoreRequest> all;
  for (const Job* job : jobs) {
    all.insert(all.end(), job->requests.begin(), job->requests.end());
  }
  std::vector<ScoredReply> replies;
  std::optional<Error> error;
  try {
    replies = score_(all, jobs.front()->attempt);
  } catch (const Failure& failure) {
    error = failure.error;
  } catch (const std::exception& thrown) {
    error = Error{ErrorCode::kIo, std::string("internal: ") + thrown.what()};
  }
  const std::lock_guard lock(mutex_);
  size_t at = 0;
  for (Job* job : jobs) {
    if (error) {
      job->result = *error;
      continue;
    }
    const auto begin = std::make_move_iterator(replies.begin() + static_cast<std::ptrdiff_t>(at));
    at += job->requests.size();
    const auto end = std::make_move_iterator(replies.begin() + static_cast<std::ptrdiff_t>(at));
    job->result = std::vector<ScoredReply>(begin, end);
  }
  if (error) {
    failure_ = error;
    server_.stop();
  }
}

}  // namespace l2a
