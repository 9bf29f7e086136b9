// Grading on a thread of its own while replies are still being sampled, for graders that wait for
// somebody else: the seconds in which an endpoint thinks are not lost.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <future>
#include <mutex>
#include <utility>
#include <vector>

#include "train/reward_fn.h"

namespace l2a {

// All that has been added by the time the grader is free goes to it as one batch: it is never
// called twice at a time, and it is asked once about each reply. Which replies share a batch
// depends on timing; a grader whose verdicts do not depend on their neighbours gives the same
// results as when it is asked about all of them afterwards. add() and finish() belong to one
// thread.
class BackgroundGrading {
 public:
  // `reward` must outlive it.
  explicit BackgroundGrading(const RewardFn& reward);
  // Waits for the batch that is being graded; what waits is dropped.
  ~BackgroundGrading();
  BackgroundGrading(const BackgroundGrading&) = delete;
  BackgroundGrading& operator=(const BackgroundGrading&) = delete;

  // Requests of the group `group`, a number of the caller's. Throws what the grader has thrown,
  // also of an earlier batch: no more need be sampled for it.
  void add(size_t group, RewardRequests requests);

  // Waits for all. (group, a result a request), in the order in which they were added. Throws what
  // the grader has thrown.
  using Results = std::vector<std::pair<size_t, std::vector<RewardResult>>>;
  Results finish();

 private:
  struct Batch {  // one of each a group
    std::vector<size_t> groups;
    std::vector<RewardRequests> requests;
  };
  void work();  // ends once it is closed and nothing waits, or by what the grader throws
  void close();

  const RewardFn& reward_;
  std::mutex mutex_;
  std::condition_variable changed_;
  Batch waiting_;
  Results results_;
  bool closed_ = false;     // nothing more will be added
  std::future<void> work_;  // last: it uses all of the above
};

}  // namespace l2a
