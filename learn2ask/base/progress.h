// Progress of a long command: a bar with rate and remaining time on a terminal, plain lines
// (at most one every few seconds) otherwise. Written to standard error.
#pragma once

#include <chrono>
#include <cstddef>
#include <optional>
#include <string>

#include "base/clock.h"

namespace l2a {

// Not thread-safe. The bar is erased by the destructor; finish() leaves a summary line.
class Progress {
 public:
  // `total` unknown: nullopt. `unit` in the plural: "sessions".
  Progress(std::string what, std::optional<size_t> total, std::string unit,
           const Clock& clock = Clock::system());
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  void advance(size_t by = 1);
  void skip(size_t by);         // done by an earlier call: counts, but not in the rate
  void note(std::string text);  // shown behind the bar, e.g. "reward 2.31"
  void finish();

 private:
  void draw(bool last);
  std::string line() const;
  std::string what_, unit_, note_;
  std::optional<size_t> total_;
  size_t done_ = 0, skipped_ = 0;
  const Clock& clock_;
  std::chrono::steady_clock::time_point start_, drawn_;
  bool terminal_, finished_ = false;
};

}  // namespace l2a
