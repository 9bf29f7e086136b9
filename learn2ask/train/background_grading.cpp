#include "train/background_grading.h"

#include <chrono>
#include <utility>

namespace l2a {

BackgroundGrading::BackgroundGrading(const RewardFn& reward)
    : reward_(reward), work_(std::async(std::launch::async, [this] { work(); })) {}

BackgroundGrading::~BackgroundGrading() {
  if (!work_.valid()) return;
  {
    const std::lock_guard lock(mutex_);
    waiting_ = {};
  }
  close();
  work_.wait();
}

void BackgroundGrading::add(size_t group, RewardRequests requests) {
  if (work_.wait_for(std::chrono::seconds(0)) == std::future_status::ready) work_.get();
  {
    const std::lock_guard lock(mutex_);
    waiting_.groups.push_back(group);
    waiting_.requests.push_back(std::move(requests));
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
    Batch batch;
    {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [this] { return closed_ || !waiting_.groups.empty(); });
      if (waiting_.groups.empty()) return;
      batch = std::exchange(waiting_, {});
    }
    auto results = grade_lists(reward_, batch.requests);
    for (size_t i = 0; i < results.size(); ++i) {
      results_.emplace_back(batch.groups[i], std::move(results[i]));
    }
  }
}

}  // namespace l2a
