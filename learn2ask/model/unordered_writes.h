// Private to this module.
#pragma once

#include <ATen/Context.h>

namespace l2a {

// While it lives LibTorch may write in any order. For places that are written once each: there is
// no order of sums to keep to, and keeping to one is a sort on CUDA. Of the whole process: no other
// thread may compute on CUDA meanwhile.
class UnorderedWrites {
 public:
  UnorderedWrites() { set(false); }
  ~UnorderedWrites() { set(before_); }
  UnorderedWrites(const UnorderedWrites&) = delete;
  UnorderedWrites& operator=(const UnorderedWrites&) = delete;

 private:
  static void set(bool deterministic) {
    at::globalContext().setDeterministicAlgorithms(deterministic, /*warn_only=*/false);
  }
  const bool before_ = at::globalContext().deterministicAlgorithms();
};

}  // namespace l2a
