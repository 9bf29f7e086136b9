#include "llm/outage.h"

#include <algorithm>

namespace l2a {

void Outage::on_sign_of_life() {
  failures_ = busy_ = waits_ = 0;
  probes_only_ = false;
  since_.reset();
  ++signs_of_life_;
}

void Outage::on_failure(Time now, bool alone, Rng& jitter) {
  since_ = since_.value_or(now);
  probes_only_ = probes_only_ || alone;
  ++failures_;
  if (open()) hold(now, backoff(options_, ++waits_, jitter));
}

void Outage::on_busy(Time now, bool alone, Seconds wait, Rng& jitter) {
  since_ = since_.value_or(now);
  probes_only_ = probes_only_ || alone;
  ++busy_;
  hold(now, wait.count() > 0 ? wait : backoff(options_, busy_, jitter));
}

void Outage::hold(Time now, Seconds wait) {
  held_until_ = std::max(held_until_, now + std::chrono::ceil<Time::duration>(wait));
}

bool Outage::too_long(Time now) const {
  return since_ && now - *since_ > Seconds(options_.max_outage_s);
}

}  // namespace l2a
