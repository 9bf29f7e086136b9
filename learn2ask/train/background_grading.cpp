#include "train/background_grading.h"

#include <chrono>
#include <iterator>

namespace l2a {

BackgroundGrading::BackgroundGrading(const RewardFn& reward)
    : reward_(reward), work_(std::async(std::launch::async, [this] { work(); })) {}

BackgroundGrading::~BackgroundGrading() {
  if (!work_.valid()) return;
  {
    const std::lock_guard lock(mutex_);
    waiting_.clear();
  }
  close();
  work_.wait();
}

void BackgroundGrading::add(size_t group, std::vector<RewardRequest> requests) {
  if (work_.wait_for(std::chrono::seconds(0)) == std::future_status::ready) work_.get();
  {
    const std::lock_guard lock(mutex_);
    waiting_.push_back({group, std::move(requests)});
  }
  changed_.notify_one();
}

BackgroundGrading::Results BackgroundGrading::finish() {
  close();
  work_.get();
  return std::move(results_);
}

void BackgroundGrading::close() {
  {
    const std::lock_guard lock(mutex_);
    closed_ = true;
  }
  changed_.notify_one();
}

void BackgroundGrading::work() {
  while (true) {
    std::vector<Waiting> batch;
    {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [this] { return closed_ || !waiting_.empty(); });
      if (waiting_.empty()) return;
      batch.swap(waiting_);
    }
    grade_batch(batch);
  }
}

void BackgroundGrading::grade_batch(const std::vector<Waiting>& batch) {
  std::vector<RewardRequest> requests;
  for (const Waiting& group : batch) {
    requests.insert(requests.end(), group.requests.begin(), group.requests.end());
  }
  auto results = grade(reward_, requests);
  auto next = std::make_move_iterator(results.begin());
  for (const Waiting& group : batch) {
    const auto end = next + static_cast<std::ptrdiff_t>(group.requests.size());
    results_.emplace_back(group.group, std::vector<RewardResult>(next, end));
    next = end;
  }
}

}  // namespace l2a
