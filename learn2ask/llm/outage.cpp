#include "llm/outage.h"

#include <algorithm>

namespace l2a {

void Outage::on_sign_of_life() {
  failures_ = 0;
  since_.reset();
}

void Outage::on_failure(Time now, Rng& jitter) {
  since_ = since_.value_or(now);
  ++failures_;
  if (open()) hold(now, backoff(options_, failures_ - kOpensAfter + 1, jitter));
}

void Outage::hold(Time now, Seconds wait) {
  held_until_ = std::max(held_until_, now + std::chrono::ceil<Time::duration>(wait));
}

bool Outage::too_long(Time now) const {
  return since_ && now - *since_ > Seconds(options_.max_outage_s);
}

}  // namespace l2a
