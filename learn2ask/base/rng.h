// Random numbers that are the same on every machine and can be saved and restored.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

namespace l2a {

// xoshiro256** 1.0 (Blackman and Vigna, public domain reference), seeded by SplitMix64.
// Value type: a copy continues the same sequence. Not thread-safe.
class Rng {
 public:
  explicit Rng(uint64_t seed);
  // An independent stream for a named part ("typos", session 12): derived, not drawn, so
  // that adding a stream changes no other one.
  static Rng stream(uint64_t seed, std::string_view name, uint64_t index = 0);

  uint64_t next();                  // 64 random bits
  uint64_t below(uint64_t n);       // uniform in [0, n), without modulo bias; n > 0
  double uniform();                 // in [0, 1), 53 bits
  bool chance(double probability);  // true with that probability
  template <class T>
  const T& pick(const std::vector<T>& from) {
    return from[below(from.size())];
  }
  template <class T>
  void shuffle(std::vector<T>& values) {
    for (size_t i = values.size(); i > 1; --i) std::swap(values[i - 1], values[below(i)]);
  }

  std::array<uint64_t, 4> state() const { return state_; }
  void restore(const std::array<uint64_t, 4>& state) { state_ = state; }

 private:
  std::array<uint64_t, 4> state_;
};

// A well-mixed 64-bit hash of bytes (FNV-1a finished by SplitMix64): stable across machines.
uint64_t stable_hash(std::string_view bytes);

}  // namespace l2a
