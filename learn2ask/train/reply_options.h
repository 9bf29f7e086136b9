// Which replies are sampled in a step of the trainers that learn from graded replies, and which of
// them count.
#pragma once

#include <cstdint>

#include "base/config.h"

namespace l2a {

struct ReplyOptions {
  int64_t sessions_per_step = 4;  // all expert turns of each
  int64_t group_size = 8;         // 70% of groups of 2 are homogeneous, 20% of groups of 8
  double temperature = 1;         // top-p is 1: log-probabilities are those sampled from
  int64_t max_reply_tokens = 64;  // longer replies are cut, which makes them malformed
  // Cut replies are left out as unscored ones are; else they are malformed, which earns nothing.
  bool mask_truncated = false;
  // While groups whose replies all earned the same leave a step short of others, so many times more
  // sessions are sampled; only the others are learned from. DAPO's dynamic sampling, arXiv
  // 2503.14476, section 3.2.
  int64_t dynamic_rounds = 0;
  bool empty_targets = false;  // continue samples with nothing left to ask: any question is wrong
  double max_failure_rate = 0.05;
  int64_t max_rows = 256;

  template <class Visitor>
  void visit(Visitor& v) {
    v("sessions_per_step", sessions_per_step, Range{1, 4096}, "sessions sampled in a step");
    v("group_size", group_size, Range{2, 256}, "replies sampled at each expert turn");
    v("temperature", temperature, Range{0.01, 10}, "of sampling");
    v("max_reply_tokens", max_reply_tokens, Range{1, 4096}, "replies are cut there");
    v("mask_truncated", mask_truncated, "leave replies out that are cut");
    v("dynamic_rounds", dynamic_rounds, Range{0, 100},
      "sample so many times more sessions for groups whose replies all earn the same");
    v("empty_targets", empty_targets, "also train where there was nothing left to ask");
    v("max_failure_rate", max_failure_rate, Range{0, 1},
      "the run pauses when more of the last 200 replies that need a grader could not be graded");
    v("max_rows", max_rows, Range{1, 65536}, "replies decoded at a time; bounds memory");
  }
};

}  // namespace l2a
