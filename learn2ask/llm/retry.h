// What to do about a call that was not answered, and how long to wait before the next try.
#pragma once

#include <chrono>
#include <string>
#include <string_view>
#include <vector>

#include "base/rng.h"
#include "llm/options.h"

namespace l2a {

enum class FailureClass {
  kBusy,    // "slow down" (429): wait; no fault of the call
  kRetry,   // may go well the next time: no connection, 408, 5xx, no whole answer in time
  kRefuse,  // will not: this call has failed
  kPause,   // no call will go well until a person does something: the run pauses
};

// An account is empty, or what it may use is used up: the error contains one of the phrases.
bool names_quota(std::string_view error, const std::vector<std::string>& quota_phrases);

// Of an answer with another status than 200, or of one with 200 that is no reply. One that names a
// quota pauses the run, whatever its status; so do 401, 402 and 403.
FailureClass classify(int status, bool names_quota);

// Seconds before try `attempt` + 1, the first try being 1: doubled each time up to the longest,
// then drawn from the upper half of that, so that calls that failed together do not come back
// together.
std::chrono::duration<double> backoff(const LlmOptions& options, int64_t attempt, Rng& jitter);

}  // namespace l2a
